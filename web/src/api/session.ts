// Who is signed in. The access token lives in memory only; the refresh token in the browser's storage, because it must
// survive a reload. A refresh token works once, so refreshing is done by one caller at a time, in this tab and (where
// the browser has locks) across tabs.

import { ApiError, networkError, problemFrom } from './problem';
import type { SessionAnswer, User } from './types';

export interface SessionState {
  /** `restoring` until the stored refresh token was tried. */
  status: 'restoring' | 'signed_out' | 'signed_in' | 'unreachable';
  user: User | null;
}

export interface TokenStorage {
  read(): string | null;
  /** `lasting`: survives closing the browser. Absent: as before. */
  write(token: string, lasting?: boolean): void;
  clear(): void;
}

export interface SessionDoors {
  storage: TokenStorage;
  fetch: typeof fetch;
  /** Milliseconds. */
  now(): number;
  /** Runs alone among all tabs. */
  exclusive<T>(work: () => Promise<T>): Promise<T>;
}

/** An access token this close to its end is renewed before use, milliseconds; at most a third of its life. */
const RENEW_BEFORE_MS = 20_000;

export class Session {
  #state: SessionState = { status: 'restoring', user: null };
  #access: { token: string; renewAt: number } | null = null;
  #refreshing: Promise<string> | null = null;
  #listeners = new Set<() => void>();
  readonly #doors: SessionDoors;

  constructor(doors: SessionDoors) {
    this.#doors = doors;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly state = (): SessionState => this.#state;

  /** Tries the stored refresh token once, at start. */
  async restore(): Promise<void> {
    if (this.#doors.storage.read() === null) {
      this.#set({ status: 'signed_out', user: null });
      return;
    }
    this.#set({ status: 'restoring', user: null });
    try {
      await this.refresh();
    } catch (error) {
      // Signed out by `refresh` when the server refused; otherwise the session may still be good.
      if (this.#state.status === 'restoring') this.#set({ status: 'unreachable', user: null });
      if (!(error instanceof ApiError)) throw error;
    }
  }

  begin(answer: SessionAnswer, lasting?: boolean): void {
    this.#doors.storage.write(answer.refresh_token, lasting);
    const lifeMs = answer.expires_in * 1000;
    this.#access = { token: answer.access_token, renewAt: this.#doors.now() + lifeMs - Math.min(RENEW_BEFORE_MS, lifeMs / 3) };
    this.#set({ status: 'signed_in', user: answer.user });
  }

  end(): void {
    this.#doors.storage.clear();
    this.#access = null;
    this.#set({ status: 'signed_out', user: null });
  }

  /** Another tab signed out, or in. */
  readonly storageChanged = (): void => {
    const held = this.#doors.storage.read() !== null;
    if (this.#state.status === 'signed_in' && !held) this.end();
    if (this.#state.status === 'signed_out' && held) void this.restore();
  };

  refreshToken(): string | null {
    return this.#doors.storage.read();
  }

  /** The access token as it is, without asking the server: for requests while the page goes away. */
  currentToken(): string | null {
    return this.#access?.token ?? null;
  }

  /** An access token good for some seconds, or null when nobody is signed in. */
  async token(): Promise<string | null> {
    if (this.#access && this.#doors.now() < this.#access.renewAt) return this.#access.token;
    if (this.#doors.storage.read() === null) return null;
    return this.refresh();
  }

  /** A new access token after `refused` was refused. Does nothing when somebody has renewed it meanwhile. */
  async renew(refused: string): Promise<string | null> {
    if (this.#access && this.#access.token !== refused) return this.#access.token;
    if (this.#doors.storage.read() === null) return null;
    return this.refresh();
  }

  /** One refresh at a time; everybody who asks meanwhile gets the same answer. */
  refresh(): Promise<string> {
    this.#refreshing ??= this.#doors
      .exclusive(() => this.#refreshNow())
      .finally(() => {
        this.#refreshing = null;
      });
    return this.#refreshing;
  }

  async #refreshNow(): Promise<string> {
    // Read inside the lock: another tab may just have used the one we knew.
    const refreshToken = this.#doors.storage.read();
    if (refreshToken === null) {
      this.end();
      throw new ApiError(401, 'unauthenticated', 'signed out');
    }
    let response: Response;
    try {
      response = await this.#doors.fetch('/api/v1/auth/refresh', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ refresh_token: refreshToken }),
      });
    } catch {
      throw networkError();
    }
    if (!response.ok) {
      const problem = problemFrom(response.status, await response.text(), response.headers.get('Retry-After'));
      if (response.status === 400 || response.status === 401 || response.status === 403) this.end();
      throw problem;
    }
    const answer = (await response.json()) as SessionAnswer;
    this.begin(answer);
    return answer.access_token;
  }

  #set(state: SessionState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }
}
