// Captions of an asset: list, upload, remove.

import { request, send } from './client';
import type { Caption, CaptionList } from './types';

/** Bytes that a file may have. */
export const MAX_CAPTION_BYTES = 2 * 1024 * 1024;

export function listCaptions(assetId: string, signal?: AbortSignal): Promise<CaptionList> {
  return request('GET', `/assets/${assetId}/captions`, { signal });
}

export function putCaptions(assetId: string, about: Pick<Caption, 'language' | 'label' | 'kind'>, file: Blob): Promise<Caption> {
  const query = new URLSearchParams({ label: about.label, kind: about.kind });
  return request('PUT', `/assets/${assetId}/captions/${encodeURIComponent(about.language)}?${query}`, { file });
}

export async function deleteCaptions(assetId: string, language: string): Promise<void> {
  await send('DELETE', `/assets/${assetId}/captions/${encodeURIComponent(language)}`);
}
