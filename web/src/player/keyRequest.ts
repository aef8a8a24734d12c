// Which of the player's requests carry the playback token, and what a refused one says.

import { type ApiError, problemFrom } from '../api/problem';

/** Whether `url` asks for a content key of this server. Segments and playlists never see the token. */
export function isKeyRequest(url: string, origin: string): boolean {
  try {
    const parsed = new URL(url, origin);
    return parsed.origin === origin && parsed.pathname.startsWith('/keys/');
  } catch {
    return false;
  }
}

/** The refusal in a failed key request, or null when it failed for another reason. */
export function refusalIn(status: number | undefined, body: unknown): ApiError | null {
  if (status !== 401 && status !== 403) return null;
  const text = body instanceof ArrayBuffer ? new TextDecoder().decode(body) : typeof body === 'string' ? body : '';
  return problemFrom(status, text);
}
