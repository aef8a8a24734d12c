// The playing itself: the video element, Media Chrome's controls, our menus, and the keys.

import { useCallback, useEffect, useRef, useState } from 'react';
import type { ApiError } from '../api/problem';
import type { PlaybackAnswer } from '../api/types';
import { CourseCover } from '../ui/CourseCover';
import { Icon } from '../ui/Icon';
import './mediaElements';
import { PlayerMenu } from './PlayerMenu';
import { readPreferences, writePreferences } from './preferences';
import { qualityChoices } from './quality';
import { ShortcutList } from './ShortcutList';
import { SPEEDS, speedStep } from './shortcuts';
import { TroubleBanner } from './TroubleBanner';
import { usePlayback } from './usePlayback';
import { useProgressReports } from './useProgressReports';
import { useShortcuts } from './useShortcuts';

interface PlayerStageProps {
  answer: PlaybackAnswer;
  startMs: number;
  autoplay: boolean;
  lessonId: string;
  courseId: string;
  audioOnly: boolean;
  completed: boolean;
  /** Playing ended: refused, or (null) failed for no known reason. */
  onStopped: (error: ApiError | null, positionMs: number, wasPlaying: boolean) => void;
  onProgress: () => void;
}

export function PlayerStage({ answer, startMs, autoplay, lessonId, courseId, audioOnly, completed, onStopped, onProgress }: PlayerStageProps) {
  const video = useRef<HTMLVideoElement>(null);
  const controller = useRef<HTMLElement>(null);
  const [speed, setSpeed] = useState(() => readPreferences().speed);
  const [shortcuts, setShortcuts] = useState(() => readPreferences().shortcuts);

  // Before the engine's effect: the last report must go out while the element still knows its position.
  useProgressReports({ video, lessonId, completed, onProgress });
  const { levels, level, chosen, choose, sound, trouble, retryNow } = usePlayback({ video, answer, startMs, autoplay, onStopped });
  const onlySound = audioOnly || sound;

  useEffect(() => {
    const element = video.current;
    if (!element) return;
    // The default as well: loading a presentation resets the rate to it.
    element.defaultPlaybackRate = speed;
    element.playbackRate = speed;
  }, [speed]);

  // Whoever pressed the start button goes on with the keyboard here.
  useEffect(() => controller.current?.focus({ preventScroll: true }), []);

  const chooseSpeed = useCallback((next: number) => {
    setSpeed(next);
    writePreferences({ speed: next });
  }, []);
  const onSpeedStep = useCallback((steps: 1 | -1) => chooseSpeed(speedStep(video.current?.playbackRate ?? 1, steps)), [chooseSpeed]);
  useShortcuts(shortcuts, { video, controller, onSpeedStep });

  const choices = qualityChoices(levels);
  const current = choices.find((choice) => choice.level === level)?.label;
  const shown = chosen === -1 ? (current ? `Auto (${current})` : 'Auto') : (choices.find((choice) => choice.level === chosen)?.label ?? 'Auto');

  return (
    <>
      {onlySound && (
        <div className="stage-art">
          <CourseCover id={courseId} />
          <Icon name="wave" size={56} />
        </div>
      )}
      <media-controller
        ref={controller}
        class={onlySound ? 'stage stage-audio' : 'stage'}
        audio={onlySound}
        nohotkeys=""
        autohide="3"
        tabIndex={-1}
      >
        <video ref={video} slot="media" playsInline preload="auto" data-testid="video" />
        {trouble && (
          <div slot="top-chrome" className="stage-top" {...{ noautohide: '' }}>
            <TroubleBanner trouble={trouble} onRetry={retryNow} />
          </div>
        )}
        {!onlySound && <media-loading-indicator slot="centered-chrome" noautohide="" />}
        <media-control-bar class="stage-range">
          <media-time-range data-testid="seek" />
        </media-control-bar>
        <media-control-bar class="stage-buttons">
          <media-play-button notooltip="" data-testid="play" />
          <media-seek-backward-button class="wide-only" notooltip="" seekoffset="10" />
          <media-seek-forward-button class="wide-only" notooltip="" seekoffset="10" />
          <media-mute-button notooltip="" data-testid="mute" />
          <media-volume-range class="wide-only" />
          <media-time-display showduration="" notoggle="" data-testid="time" />
          <span className="stage-space" />
          <media-captions-button notooltip="" />
          <PlayerMenu
            name="Speed"
            shown={`${speed}×`}
            choices={SPEEDS.map((value) => ({ value, label: value === 1 ? 'Normal' : `${value}×` }))}
            chosen={speed}
            onChoose={chooseSpeed}
            testId="speed"
          />
          {choices.length > 1 && (
            <PlayerMenu
              name="Quality"
              shown={shown}
              choices={[{ value: -1, label: 'Auto' }, ...choices.map((choice) => ({ value: choice.level, label: choice.label }))]}
              chosen={chosen}
              onChoose={choose}
              testId="quality"
            />
          )}
          {!onlySound && <media-fullscreen-button notooltip="" data-testid="fullscreen" />}
        </media-control-bar>
      </media-controller>
      <ShortcutList
        enabled={shortcuts}
        onChange={(enabled) => {
          setShortcuts(enabled);
          writePreferences({ shortcuts: enabled });
        }}
      />
    </>
  );
}
