// What stands in the player's place when playing is refused or failed: why, and what to do next.

import { useEffect, useRef } from 'react';
import { Link, useLocation } from 'react-router';
import { signInPath } from '../session/returnPath';
import { Icon } from '../ui/Icon';
import type { Notice } from './refusal';

interface NoticeScreenProps {
  notice: Notice;
  courseId: string;
  onPlayAgain: () => void;
}

export function NoticeScreen({ notice, courseId, onPlayAgain }: NoticeScreenProps) {
  const location = useLocation();
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => box.current?.focus({ preventScroll: true }), [notice]);

  return (
    <div className="player-notice" role="alert" tabIndex={-1} ref={box} data-testid="player-notice" data-code={notice.code}>
      <Icon name={notice.next === 'open_course' || notice.next === 'sign_in' ? 'lock' : 'warning'} size={28} />
      <h2>{notice.title}</h2>
      <p>{notice.message}</p>
      {notice.next === 'play_again' && (
        <button type="button" className="button" onClick={onPlayAgain} data-testid="play-again">
          <Icon name="play" size={18} /> Play again
        </button>
      )}
      {notice.next === 'open_course' && (
        <Link className="button" to={`/courses/${courseId}`} data-testid="notice-course">
          Go to the course page
        </Link>
      )}
      {notice.next === 'sign_in' && (
        <Link className="button" to={signInPath(location.pathname)}>
          Sign in
        </Link>
      )}
    </div>
  );
}
