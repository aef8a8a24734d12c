// Plays with the browser's own HLS, for browsers without Media Source Extensions. It cannot set headers, so the
// playlists carry the token, and it cannot say why it failed: the caller asks by heartbeat.

import type { Engine, EngineOptions } from './engine';

/** Those of the presentation: pages add tracks of their own for thumbnails and chapters. */
const texts = (video: HTMLVideoElement) =>
  Array.from(video.textTracks).filter((track) => track.kind === 'subtitles' || track.kind === 'captions');

/** What Safari has and the DOM's types lack (HTML standard, 4.8.11.10). */
interface AudioTracks extends EventTarget {
  readonly length: number;
  [index: number]: { enabled: boolean; label: string; language: string };
}
const sounds = (video: HTMLVideoElement) => Array.from((video as { audioTracks?: AudioTracks }).audioTracks ?? []);

export function playNatively(video: HTMLVideoElement, { answer, startSeconds, events }: EngineOptions): Engine {
  const onMetadata = () => {
    if (startSeconds > 0) video.currentTime = startSeconds;
    if (video.videoWidth === 0) events.onAudioOnly();
  };
  const onError = () => events.onFailed(null);
  const onTracks = () => {
    events.onTexts(texts(video).map(({ label, language }) => ({ name: label, language })));
    events.onText(texts(video).findIndex((track) => track.mode === 'showing'));
    events.onSounds(sounds(video).map(({ label, language }) => ({ name: label, language })));
    events.onSound(sounds(video).findIndex((track) => track.enabled));
  };
  const happenings = ['addtrack', 'removetrack', 'change'];
  const lists = [video.textTracks, (video as { audioTracks?: AudioTracks }).audioTracks];
  for (const list of lists) for (const name of happenings) list?.addEventListener(name, onTracks);
  video.addEventListener('loadedmetadata', onMetadata);
  video.addEventListener('error', onError);
  video.src = answer.hls_native_url;

  return {
    setLevel: () => undefined,
    setText: (wanted) => {
      for (const [index, track] of texts(video).entries()) track.mode = index === wanted ? 'showing' : 'disabled';
    },
    setSound: (wanted) => {
      for (const [index, track] of sounds(video).entries()) track.enabled = index === wanted;
    },
    retryNow: () => undefined,
    destroy() {
      for (const list of lists) for (const name of happenings) list?.removeEventListener(name, onTracks);
      video.removeEventListener('loadedmetadata', onMetadata);
      video.removeEventListener('error', onError);
      video.removeAttribute('src');
      video.load();
    },
  };
}
