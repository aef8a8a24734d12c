// Runs an engine and a playback session on a video element for as long as the component lives.

import { useEffect, useEffectEvent, useRef, useState, type RefObject } from 'react';
import { endPlayback, heartbeat } from '../api/playback';
import { ApiError } from '../api/problem';
import type { PlaybackAnswer } from '../api/types';
import type { Engine, Trouble } from './engine';
import { PlaybackSession } from './playbackSession';
import { readPreferences, writePreferences } from './preferences';
import type { QualityLevel } from './quality';
import { startEngine } from './startEngine';
import { trackFor, type Track } from './tracks';

interface PlaybackNeeds {
  video: RefObject<HTMLVideoElement | null>;
  answer: PlaybackAnswer;
  startMs: number;
  autoplay: boolean;
  onStopped: (error: ApiError | null, positionMs: number, wasPlaying: boolean) => void;
}

interface PlaybackView {
  levels: QualityLevel[];
  /** The level now shown. */
  level: number;
  /** The level chosen; -1 for automatic. */
  chosen: number;
  choose: (level: number) => void;
  texts: Track[];
  /** The captions that are shown; -1 for none. */
  text: number;
  chooseText: (text: number) => void;
  sounds: Track[];
  /** The sound that is heard. */
  heard: number;
  chooseSound: (sound: number) => void;
  /** Up to where there is something to play, seconds, while more is being made. */
  growth: number | null;
  /** Sound without picture, as the presentation says. */
  sound: boolean;
  trouble: Trouble | null;
  retryNow: () => void;
}

export function usePlayback({ video, answer, startMs, autoplay, onStopped }: PlaybackNeeds): PlaybackView {
  const [levels, setLevels] = useState<QualityLevel[]>([]);
  const [level, setLevel] = useState(-1);
  const [chosen, setChosen] = useState(-1);
  const [texts, setTexts] = useState<Track[]>([]);
  const [text, setText] = useState(-1);
  const [sounds, setSounds] = useState<Track[]>([]);
  const [heard, setHeard] = useState(-1);
  const [growth, setGrowth] = useState<number | null>(null);
  const [sound, setSound] = useState(false);
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const engine = useRef<Engine | null>(null);
  const ending = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const stopped = useEffectEvent(onStopped);

  useEffect(() => {
    const element = video.current;
    if (!element) return;
    clearTimeout(ending.current);

    const positionMs = () => Math.round(element.currentTime * 1000) || startMs;
    let told = false;
    const stop = (error: ApiError | null) => {
      if (told) return;
      told = true;
      remember();
      const wasPlaying = !element.paused;
      element.pause();
      session.stop();
      engine.current?.destroy();
      stopped(error, lastMs, wasPlaying);
    };
    // Destroying the engine empties the element; the last position is kept here.
    let lastMs = startMs;
    const remember = () => {
      if (element.readyState > 0) lastMs = positionMs();
    };
    element.addEventListener('timeupdate', remember);

    const session = new PlaybackSession(answer, { beat: heartbeat, positionMs: () => lastMs, onRefused: stop });
    session.start();
    try {
      engine.current = startEngine(element, {
        answer,
        startSeconds: startMs / 1000,
        token: () => session.token,
        events: {
          onLevels: setLevels,
          onLevel: setLevel,
          onTexts: (found) => {
            setTexts(found);
            const wanted = trackFor(found, readPreferences().captions);
            // After the engine has made its own choice, which goes by the browser's language: nobody asked for captions.
            queueMicrotask(() => engine.current?.setText(wanted));
          },
          onText: setText,
          onSounds: (found) => {
            setSounds(found);
            const wanted = trackFor(found, readPreferences().sound);
            if (wanted >= 0) queueMicrotask(() => engine.current?.setSound(wanted));
          },
          onSound: setHeard,
          onGrowth: setGrowth,
          onAudioOnly: () => setSound(true),
          onRefused: stop,
          onTrouble: setTrouble,
          // A heartbeat knows whether it was a refusal: native players cannot tell.
          onFailed: (error) => void session.beat().then(() => stop(error)),
        },
      });
      if (autoplay) void element.play().catch(() => undefined);
    } catch (error) {
      const timer = setTimeout(() => stop(error instanceof ApiError ? error : null));
      ending.current = timer;
    }

    const onPageHide = (event: PageTransitionEvent) => {
      if (!event.persisted) endPlayback(answer.session_id, session.token);
    };
    addEventListener('pagehide', onPageHide);
    // Access may have ended during a pause or behind another tab: known now, not half a minute later.
    const onBack = () => {
      if (document.visibilityState === 'visible') session.nudge();
    };
    element.addEventListener('play', onBack);
    document.addEventListener('visibilitychange', onBack);

    return () => {
      element.removeEventListener('play', onBack);
      document.removeEventListener('visibilitychange', onBack);
      removeEventListener('pagehide', onPageHide);
      element.removeEventListener('timeupdate', remember);
      session.stop();
      engine.current?.destroy();
      engine.current = null;
      // Later, so that React's trial unmount in development does not end the session it goes on with.
      if (!told) ending.current = setTimeout(() => endPlayback(answer.session_id, session.token));
    };
  }, [video, answer, startMs, autoplay]);

  return {
    levels,
    level,
    chosen,
    choose: (next) => {
      setChosen(next);
      engine.current?.setLevel(next);
    },
    texts,
    text,
    chooseText: (next) => {
      engine.current?.setText(next);
      writePreferences({ captions: texts[next]?.language ?? null });
    },
    sounds,
    heard,
    chooseSound: (next) => {
      engine.current?.setSound(next);
      writePreferences({ sound: sounds[next]?.language ?? null });
    },
    growth,
    sound,
    trouble,
    retryNow: () => engine.current?.retryNow(),
  };
}
