// Plays with the browser's own HLS, for browsers without Media Source Extensions. It cannot set headers, so the
// playlists carry the token, and it cannot say why it failed: the caller asks by heartbeat.

import type { Engine, EngineOptions } from './engine';

export function playNatively(video: HTMLVideoElement, { answer, startSeconds, events }: EngineOptions): Engine {
  const onMetadata = () => {
    if (startSeconds > 0) video.currentTime = startSeconds;
    if (video.videoWidth === 0) events.onAudioOnly();
  };
  const onError = () => events.onFailed(null);
  video.addEventListener('loadedmetadata', onMetadata);
  video.addEventListener('error', onError);
  video.src = answer.hls_native_url;

  return {
    setLevel: () => undefined,
    retryNow: () => undefined,
    destroy() {
      video.removeEventListener('loadedmetadata', onMetadata);
      video.removeEventListener('error', onError);
      video.removeAttribute('src');
      video.load();
    },
  };
}
