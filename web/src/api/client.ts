// One way to the API: adds the access token, renews it once when it is refused, turns failures into `ApiError`.

import { session } from './browserSession';
import { networkError, problemFrom } from './problem';

const BASE = '/api/v1';

export interface RequestOptions {
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is. */
  file?: Blob;
  headers?: Record<string, string>;
  /** Sent instead of the access token. */
  bearer?: string;
  /** For requests that say who somebody is, not that they are. */
  anonymous?: boolean;
  signal?: AbortSignal | undefined;
}

/** The raw response; throws `ApiError` unless it is a success. */
export async function send(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
  // A path is under the API; a full address is taken as it is.
  const url = path.startsWith('/') ? `${BASE}${path}` : path;
  const token = options.bearer ?? (options.anonymous ? null : await session.token());
  let response = await attempt(method, url, options, token);
  if (response.status === 401 && token !== null && options.bearer === undefined) {
    const renewed = await session.renew(token);
    if (renewed !== null) response = await attempt(method, url, options, renewed);
  }
  if (!response.ok) {
    const text = await response.text().catch(() => '');
    throw problemFrom(response.status, text, response.headers.get('Retry-After'));
  }
  return response;
}

/** The JSON of a success. */
export async function request<T>(method: string, path: string, options?: RequestOptions): Promise<T> {
  const response = await send(method, path, options);
  return (await response.json()) as T;
}

async function attempt(method: string, url: string, options: RequestOptions, token: string | null): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json', ...options.headers };
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  const init: RequestInit = { method, headers, signal: options.signal ?? null };
  if (options.body !== undefined) {
    headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(options.body);
  }
  if (options.file !== undefined) init.body = options.file;
  try {
    return await fetch(url, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw networkError();
  }
}
