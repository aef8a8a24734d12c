// The playing itself: the video element, Media Chrome's controls, our menus, and the keys.

import { useCallback, useEffect, useRef, useState } from 'react';
import type { ApiError } from '../api/problem';
import type { Chapter, ChapterSheet, PlaybackAnswer } from '../api/types';
import { CourseCover } from '../ui/CourseCover';
import { duration } from '../ui/format';
import { Icon } from '../ui/Icon';
import { ChapterList } from './ChapterList';
import './mediaElements';
import { PlayerMenu } from './PlayerMenu';
import { readPreferences, writePreferences } from './preferences';
import { qualityChoices } from './quality';
import { ShortcutList } from './ShortcutList';
import { SPEEDS, speedStep } from './shortcuts';
import { trackChoices } from './tracks';
import { TroubleBanner } from './TroubleBanner';
import { usePlayback } from './usePlayback';
import { useProgressReports } from './useProgressReports';
import { useShortcuts } from './useShortcuts';
import { WaveformLine } from './WaveformLine';

interface PlayerStageProps {
  answer: PlaybackAnswer;
  startMs: number;
  autoplay: boolean;
  lessonId: string;
  courseId: string;
  audioOnly: boolean | null;
  completed: boolean;
  chapters: Chapter[];
  sheet: ChapterSheet | null;
  sheetUrl: string | null;
  /** Playing ended: refused, or (null) failed for no known reason. */
  onStopped: (error: ApiError | null, positionMs: number, wasPlaying: boolean) => void;
  onProgress: () => void;
}

export function PlayerStage({ answer, startMs, autoplay, lessonId, courseId, audioOnly, completed, chapters, sheet, sheetUrl, onStopped, onProgress }: PlayerStageProps) {
  const video = useRef<HTMLVideoElement>(null);
  const controller = useRef<HTMLElement>(null);
  const [speed, setSpeed] = useState(() => readPreferences().speed);
  const [shortcuts, setShortcuts] = useState(() => readPreferences().shortcuts);

  // Before the engine's effect: the last report must go out while the element still knows its position.
  useProgressReports({ video, lessonId, leastMs: answer.growing ? (answer.duration_ms ?? Infinity) : 0, completed, onProgress });
  const [nowMs, setNowMs] = useState(startMs);
  const { levels, level, chosen, choose, texts, text, chooseText, sounds, heard, chooseSound, growth, sound, trouble, retryNow } = usePlayback({ video, answer, startMs, autoplay, onStopped });
  // What is known of the lecture counts: a native player on a bad network may begin with its sound alone.
  const onlySound = audioOnly ?? sound;

  useEffect(() => {
    const element = video.current;
    if (!element) return;
    // The default as well: loading a presentation resets the rate to it.
    element.defaultPlaybackRate = speed;
    element.playbackRate = speed;
  }, [speed]);

  // Whoever pressed the start button goes on with the keyboard here.
  useEffect(() => controller.current?.focus({ preventScroll: true }), []);

  const seek = useRef<HTMLElement>(null);
  useEffect(() => {
    // Media Chrome's picture over the time line has no text of its own: the time beside it says where it is.
    const preview = seek.current?.shadowRoot?.querySelector('media-preview-thumbnail');
    preview?.shadowRoot?.querySelector('img')?.setAttribute('alt', '');
  }, []);

  const chooseSpeed = useCallback((next: number) => {
    setSpeed(next);
    writePreferences({ speed: next });
  }, []);
  const onSpeedStep = useCallback((steps: 1 | -1) => chooseSpeed(speedStep(video.current?.playbackRate ?? 1, steps)), [chooseSpeed]);
  const lastText = useRef(0);
  if (text >= 0) lastText.current = text;
  const onCaptions = useCallback(() => {
    if (texts.length > 0) chooseText(text >= 0 ? -1 : Math.min(lastText.current, texts.length - 1));
  }, [texts, text, chooseText]);
  useShortcuts(shortcuts, { video, controller, onSpeedStep, onCaptions });

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
        <video
          ref={video}
          slot="media"
          playsInline
          preload="auto"
          data-testid="video"
          onTimeUpdate={(event) => setNowMs(Math.floor(event.currentTarget.currentTime) * 1000)}
        >
          {answer.storyboard_url && <track kind="metadata" label="thumbnails" src={answer.storyboard_url} default />}
          {answer.chapters_url && <track kind="chapters" label="Chapters" src={answer.chapters_url} default />}
        </video>
        {trouble && (
          <div slot="top-chrome" className="stage-top" {...{ noautohide: '' }}>
            <TroubleBanner trouble={trouble} onRetry={retryNow} />
          </div>
        )}
        {!onlySound && <media-loading-indicator slot="centered-chrome" noautohide="" />}
        <media-control-bar class="stage-range">
          {answer.waveform_url && <WaveformLine url={answer.waveform_url} durationMs={answer.duration_ms ?? 0} />}
          <media-time-range ref={seek} data-testid="seek" />
        </media-control-bar>
        <media-control-bar class="stage-buttons">
          <media-play-button notooltip="" data-testid="play" />
          <media-seek-backward-button class="wide-only" notooltip="" seekoffset="10" />
          <media-seek-forward-button class="wide-only" notooltip="" seekoffset="10" />
          <media-mute-button notooltip="" data-testid="mute" />
          <media-volume-range class="wide-only" />
          <media-time-display showduration="" notoggle="" data-testid="time" />
          <span className="stage-space" />
          {texts.length > 0 && (
            <PlayerMenu
              name="CC captions"
              shown="CC"
              spoken={text >= 0 ? (trackChoices(texts)[text]?.label ?? 'on') : 'off'}
              choices={[{ value: -1, label: 'Off' }, ...trackChoices(texts)]}
              chosen={text}
              onChoose={chooseText}
              testId="captions"
            />
          )}
          {sounds.length > 1 && (
            <PlayerMenu
              name="Sound"
              shown={trackChoices(sounds)[heard]?.label ?? 'Sound'}
              choices={trackChoices(sounds)}
              chosen={heard}
              onChoose={chooseSound}
              testId="sound"
            />
          )}
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
      {answer.growing && growth !== null && (
        <p className="notice stage-note" role="note" data-testid="growing">
          This lecture is still being prepared. The first {duration(growth * 1000)}
          {answer.duration_ms ? ` of ${duration(answer.duration_ms)}` : ''} can be watched; more appears as you go on.
        </p>
      )}
      <ChapterList
        chapters={chapters}
        sheet={sheet}
        sheetUrl={sheetUrl}
        nowMs={nowMs}
        onChoose={(ms) => {
          const element = video.current;
          if (!element) return;
          element.currentTime = ms / 1000;
          void element.play().catch(() => undefined);
        }}
      />
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
