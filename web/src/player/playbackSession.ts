// One viewing on one device: keeps its short-lived token fresh by heartbeats, and says when the server ends it.

import { ApiError } from '../api/problem';
import type { HeartbeatAnswer, PlaybackAnswer } from '../api/types';

export const HEARTBEAT_MS = 30_000;
const SOONEST_MS = 5_000;
/** A beat younger than this answers for another one. */
const FRESH_MS = 1_000;

/** When to beat next, milliseconds from now: every 30 s, sooner for tokens that live shorter than a minute. */
export function nextBeatMs(expiresAt: string, now: number): number {
  const left = Date.parse(expiresAt) - now;
  if (!Number.isFinite(left)) return HEARTBEAT_MS;
  return Math.min(HEARTBEAT_MS, Math.max(SOONEST_MS, left / 2));
}

export interface SessionNeeds {
  beat(url: string, token: string, positionMs: number): Promise<HeartbeatAnswer>;
  positionMs(): number;
  onRefused(error: ApiError): void;
}

export class PlaybackSession {
  #token: string;
  #expiresAt: string;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;
  #beatAt = Date.now();

  constructor(
    readonly answer: PlaybackAnswer,
    private readonly needs: SessionNeeds,
  ) {
    this.#token = answer.token;
    this.#expiresAt = answer.expires_at;
  }

  /** The newest token. */
  get token(): string {
    return this.#token;
  }

  start(): void {
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Beats now instead of later, unless it just did: playing goes on after a pause, the tab is seen again. */
  nudge(): void {
    if (this.#stopped || Date.now() - this.#beatAt < FRESH_MS) return;
    clearTimeout(this.#timer);
    void this.beat().then(() => this.#schedule());
  }

  /** One heartbeat. A refusal is reported; a lost connection or a fault is left to the next beat. */
  async beat(): Promise<void> {
    this.#beatAt = Date.now();
    try {
      const answer = await this.needs.beat(this.answer.heartbeat_url, this.#token, this.needs.positionMs());
      this.#token = answer.token;
      this.#expiresAt = answer.expires_at;
    } catch (error) {
      const refused = error instanceof ApiError && (error.status === 401 || error.status === 403);
      if (refused && !this.#stopped) {
        this.stop();
        this.needs.onRefused(error);
      }
    }
  }

  #schedule(): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      void this.beat().then(() => this.#schedule());
    }, nextBeatMs(this.#expiresAt, Date.now()));
  }
}
