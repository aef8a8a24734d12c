// Assets: read, follow while they change, retry.

import { backoffMs, pause } from './backoff';
import { request, send } from './client';
import { EventStreamParser } from './eventStream';
import { ApiError } from './problem';
import type { Asset, AssetState, Trim } from './types';

export const isFinal = (state: AssetState): boolean => state === 'ready' || state === 'failed' || state === 'deleted';
export const isPlayable = (state: AssetState): boolean => state === 'playable' || state === 'ready';

export function getAsset(id: string, signal?: AbortSignal): Promise<Asset> {
  return request('GET', `/assets/${id}`, { signal });
}

export function retryAsset(id: string): Promise<Asset> {
  return request('POST', `/assets/${id}/retry`);
}

/** Sets which part of the recording is the lesson; null: all of it. Until the upload is finished, or before another try. */
export function trimAsset(id: string, trim: Trim | null): Promise<Asset> {
  return request('PUT', `/assets/${id}/trim`, { body: trim ?? {} });
}

export interface AssetFollower {
  onAsset(asset: Asset): void;
  /** False while the connection is lost and being tried again. */
  onConnected(connected: boolean): void;
}

/** A stream silent for this long is taken for dead, milliseconds. */
const SILENCE_MS = 60_000;

/**
 * Follows an asset until a final state. `EventSource` cannot send a bearer token, so the stream is read with `fetch`;
 * a broken one is opened again with growing pauses. Ends on a refusal, which `onError`-less callers see as rejection.
 */
export async function followAsset(id: string, follower: AssetFollower, signal: AbortSignal): Promise<void> {
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    try {
      const last = await readStream(id, follower, signal, () => {
        attempt = 0;
      });
      if (last && isFinal(last.state)) return;
    } catch (error) {
      if (signal.aborted) return;
      const refused = error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429;
      if (refused) throw error;
    }
    follower.onConnected(false);
    try {
      await pause(backoffMs(attempt), signal);
    } catch {
      return;
    }
  }
}

async function readStream(id: string, follower: AssetFollower, signal: AbortSignal, onEvent: () => void): Promise<Asset | null> {
  const silence = new AbortController();
  const either = AbortSignal.any([signal, silence.signal]);
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const headers = { Accept: 'text/event-stream' };
    const response = await send('GET', `/assets/${id}/events`, { signal: either, headers });
    if (!response.body) return null;
    follower.onConnected(true);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new EventStreamParser();
    let last: Asset | null = null;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return last;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      for (const { event, data } of parser.push(value)) {
        if (event !== 'asset') continue;
        last = JSON.parse(data) as Asset;
        onEvent();
        follower.onAsset(last);
      }
    }
  } finally {
    clearTimeout(timer);
  }
}
