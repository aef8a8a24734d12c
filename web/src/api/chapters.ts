// Chapters of an asset: list, replace.

import { request } from './client';
import type { Chapter, ChaptersAnswer } from './types';

export function listChapters(assetId: string, signal?: AbortSignal): Promise<ChaptersAnswer> {
  return request('GET', `/assets/${assetId}/chapters`, { signal });
}

export function putChapters(assetId: string, items: Pick<Chapter, 'start_ms' | 'title'>[]): Promise<ChaptersAnswer> {
  return request('PUT', `/assets/${assetId}/chapters`, { body: { items } });
}
