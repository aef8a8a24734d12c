// What stands in the player's place before play: the cover and the big button.

import { clock } from '../ui/format';
import { CourseCover } from '../ui/CourseCover';
import { Icon } from '../ui/Icon';

interface StartScreenProps {
  courseId: string;
  /** A picture of the lecture, if there is one. */
  posterUrl?: string | null;
  /** Where it will go on. */
  resumeMs: number;
  starting: boolean;
  onStart: () => void;
}

export function StartScreen({ courseId, posterUrl, resumeMs, starting, onStart }: StartScreenProps) {
  const label = resumeMs > 0 ? `Resume at ${clock(resumeMs)}` : 'Play lesson';
  return (
    <div className="player-start">
      {posterUrl ? <img className="player-poster" src={posterUrl} alt="" data-testid="poster" /> : <CourseCover id={courseId} />}
      <button type="button" className="player-start-button" disabled={starting} onClick={onStart} data-testid="player-start">
        <Icon name="play" size={26} />
        {starting ? 'Starting…' : label}
      </button>
    </div>
  );
}
