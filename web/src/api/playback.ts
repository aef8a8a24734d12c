// Playback sessions: begin, keep alive, end.

import { request } from './client';
import type { HeartbeatAnswer, PlaybackAnswer } from './types';

export function beginPlayback(lessonId: string): Promise<PlaybackAnswer> {
  return request('POST', `/lessons/${lessonId}/playback`);
}

/** `url` is the answer's `heartbeat_url`; `token` the playback token. */
export function heartbeat(url: string, token: string, positionMs: number): Promise<HeartbeatAnswer> {
  return request('POST', new URL(url, location.origin).href, { bearer: token, body: { position_ms: positionMs } });
}

/** Ends the session, also while the page goes away. */
export function endPlayback(sessionId: string, token: string): void {
  fetch(`/api/v1/playback/${sessionId}`, {
    method: 'DELETE',
    keepalive: true,
    headers: { Authorization: `Bearer ${token}` },
  }).catch(() => undefined);
}
