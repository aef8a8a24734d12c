// Chooses the engine: hls.js wherever it runs, the browser's own HLS elsewhere.

import Hls from 'hls.js';
import { ApiError } from '../api/problem';
import type { Engine, EngineOptions } from './engine';
import { playWithHls } from './hlsEngine';
import { playNatively } from './nativeEngine';

export function startEngine(video: HTMLVideoElement, options: EngineOptions): Engine {
  if (Hls.isSupported()) return playWithHls(video, options);
  if (video.canPlayType('application/vnd.apple.mpegurl') !== '') return playNatively(video, options);
  throw new ApiError(400, 'browser_unsupported', 'this browser cannot play lectures; use a current Chrome, Firefox, Safari or Edge');
}
