// Plays with hls.js. Refusals stop it at once; lost connections are tried again with growing pauses, visibly.

import Hls, { type ErrorData, type LoadPolicy } from 'hls.js';
import workerPath from 'hls.js/dist/hls.worker.js?url';
import { backoffMs } from '../api/backoff';
import { ApiError } from '../api/problem';
import type { Engine, EngineOptions } from './engine';
import { isKeyRequest, refusalIn } from './keyRequest';

/** A fault that stays this often after being tried again is final, when the server answered at all. */
const ANSWERED_ATTEMPTS = 3;
const MEDIA_RECOVERIES = 2;

const keyLoadPolicy: LoadPolicy = {
  default: {
    maxTimeToFirstByteMs: 8_000,
    maxLoadTimeMs: 20_000,
    timeoutRetry: { maxNumRetry: 2, retryDelayMs: 1_000, maxRetryDelayMs: 8_000 },
    errorRetry: {
      maxNumRetry: 4,
      retryDelayMs: 1_000,
      maxRetryDelayMs: 8_000,
      // 4xx is the license server's last word.
      shouldRetry: (_config, _count, _timeout, response, retry) => retry && !(response?.code && response.code >= 400 && response.code < 500),
    },
  },
};

export function playWithHls(video: HTMLVideoElement, { answer, startSeconds, token, events }: EngineOptions): Engine {
  const hls = new Hls({
    startPosition: startSeconds,
    workerPath,
    capLevelToPlayerSize: true,
    // Seconds ahead: enough for a tunnel, little enough that a lecture left early was not downloaded whole.
    maxBufferLength: 30,
    maxMaxBufferLength: 60,
    backBufferLength: 60,
    keyLoadPolicy,
    xhrSetup(xhr, url) {
      if (!isKeyRequest(url, location.origin)) return;
      // Headers can be set only on an open request; hls.js leaves an opened one alone.
      xhr.open('GET', url, true);
      xhr.setRequestHeader('Authorization', `Bearer ${token()}`);
    },
  });

  let over = false;
  let wantedText = -1;
  let parsed = false;
  let attempts = 0;
  let recoveries = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const calm = () => {
    attempts = 0;
    events.onTrouble(null);
  };
  const retryNow = () => {
    clearTimeout(timer);
    if (over) return;
    events.onTrouble({ retryInMs: 0 });
    if (parsed) hls.startLoad();
    else hls.loadSource(answer.hls_url);
  };
  const stop = (tell: () => void) => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    hls.stopLoad();
    // hls.js is still telling its own parts about this error.
    queueMicrotask(tell);
  };

  const onError = (_name: unknown, data: ErrorData) => {
    if (over) return;
    const refusal = isKeyError(data) ? refusalIn(statusOf(data), bodyOf(data)) : null;
    if (refusal) {
      stop(() => events.onRefused(refusal));
      return;
    }
    if (!data.fatal) {
      if (data.type === Hls.ErrorTypes.NETWORK_ERROR) events.onTrouble({ retryInMs: 0 });
      return;
    }
    if (data.type === Hls.ErrorTypes.NETWORK_ERROR) {
      const status = statusOf(data) ?? 0;
      attempts += 1;
      if (status >= 400 && attempts > ANSWERED_ATTEMPTS) {
        stop(() => events.onFailed(new ApiError(status, `http_${status}`, '')));
        return;
      }
      const wait = backoffMs(attempts);
      events.onTrouble({ retryInMs: wait });
      clearTimeout(timer);
      timer = setTimeout(retryNow, wait);
      return;
    }
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && recoveries < MEDIA_RECOVERIES) {
      recoveries += 1;
      hls.recoverMediaError();
      return;
    }
    stop(() => events.onFailed(null));
  };

  hls.on(Hls.Events.MANIFEST_PARSED, (_name, data) => {
    parsed = true;
    calm();
    if (!data.video) events.onAudioOnly();
    events.onLevels(data.levels.map(({ width, height, bitrate }) => ({ width, height, bitrate })));
  });
  hls.on(Hls.Events.SUBTITLE_TRACKS_UPDATED, (_name, data) => {
    events.onTexts(data.subtitleTracks.map(({ name, lang }) => ({ name, language: lang })));
  });
  // hls.js follows whatever turns a text track on, and that need not be a person: only what was asked for is shown.
  hls.on(Hls.Events.SUBTITLE_TRACK_SWITCH, (_name, data) => {
    if (data.id === wantedText) events.onText(data.id);
    else if (!over) queueMicrotask(() => (hls.subtitleTrack = wantedText));
  });
  hls.on(Hls.Events.AUDIO_TRACKS_UPDATED, (_name, data) => {
    events.onSounds(data.audioTracks.map(({ name, lang }) => ({ name, language: lang })));
  });
  hls.on(Hls.Events.AUDIO_TRACK_SWITCHED, (_name, data) => events.onSound(data.id));
  hls.on(Hls.Events.LEVEL_SWITCHED, (_name, data) => events.onLevel(data.level));
  hls.on(Hls.Events.LEVEL_UPDATED, (_name, { details }) => events.onGrowth(details.live ? details.edge : null));
  hls.on(Hls.Events.FRAG_BUFFERED, calm);
  hls.on(Hls.Events.ERROR, onError);
  addEventListener('online', retryNow);

  hls.loadSource(answer.hls_url);
  hls.attachMedia(video);

  return {
    setLevel: (level) => {
      hls.nextLevel = level;
    },
    setText: (text) => {
      wantedText = text;
      hls.subtitleTrack = text;
    },
    setSound: (sound) => {
      hls.audioTrack = sound;
    },
    retryNow,
    destroy() {
      over = true;
      clearTimeout(timer);
      removeEventListener('online', retryNow);
      hls.destroy();
    },
  };
}

const isKeyError = (data: ErrorData) =>
  data.details === Hls.ErrorDetails.KEY_LOAD_ERROR || data.details === Hls.ErrorDetails.KEY_LOAD_TIMEOUT;

function statusOf(data: ErrorData): number | undefined {
  return data.response?.code;
}

function bodyOf(data: ErrorData): unknown {
  const details: unknown = data.networkDetails;
  return details instanceof XMLHttpRequest ? details.response : undefined;
}
