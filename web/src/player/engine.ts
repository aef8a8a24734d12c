// What plays an HLS presentation in a video element: hls.js, or the browser itself.

import type { ApiError } from '../api/problem';
import type { PlaybackAnswer } from '../api/types';
import type { QualityLevel } from './quality';
import type { Track } from './tracks';

export interface EngineEvents {
  onLevels(levels: QualityLevel[]): void;
  /** The level now shown. */
  onLevel(level: number): void;
  /** Captions and subtitles that can be shown. */
  onTexts(texts: Track[]): void;
  /** The one that is shown; -1 for none. */
  onText(text: number): void;
  /** Sound in several languages. */
  onSounds(sounds: Track[]): void;
  /** The one that is heard. */
  onSound(sound: number): void;
  /** Up to where there is something to play, seconds, while more is being made; null when all is there. */
  onGrowth(untilSeconds: number | null): void;
  /** Sound without picture. */
  onAudioOnly(): void;
  /** A key was refused; the engine has stopped. */
  onRefused(error: ApiError): void;
  /** The connection is lost and being tried again; null when it is back. */
  onTrouble(trouble: Trouble | null): void;
  /** The engine gave up. */
  onFailed(error: ApiError | null): void;
}

export interface Trouble {
  /** Milliseconds until the next attempt; 0 while one is under way. */
  retryInMs: number;
}

export interface EngineOptions {
  answer: PlaybackAnswer;
  startSeconds: number;
  /** The newest playback token. */
  token(): string;
  events: EngineEvents;
}

export interface Engine {
  /** -1 for automatic. */
  setLevel(level: number): void;
  /** -1 for none. */
  setText(text: number): void;
  setSound(sound: number): void;
  /** Tries a lost connection again at once. */
  retryNow(): void;
  destroy(): void;
}
