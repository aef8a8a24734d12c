// Tells the server where the learner is: every ten seconds of play, on pause, on seek, on leaving.

export const REPORT_EVERY_MS = 10_000;
/** Positions closer than this are the same position. */
const SAME_MS = 750;

export interface Report {
  position_ms: number;
  completed?: boolean;
}

/** Completed: within the last 5 % or the last 15 s, whichever is shorter. */
export function isCompleted(positionMs: number, durationMs: number): boolean {
  if (!(durationMs > 0)) return false;
  return durationMs - positionMs <= Math.min(15_000, durationMs * 0.05);
}

/** Where to start: the stored position, or the beginning when it was left at the end. */
export function resumeAt(positionMs: number, durationMs: number): number {
  if (!(positionMs > 3_000)) return 0;
  return isCompleted(positionMs, durationMs) ? 0 : positionMs;
}

export class ProgressReporter {
  #sent: Report | null = null;
  #completed: boolean;

  constructor(
    private readonly send: (report: Report) => void,
    alreadyCompleted = false,
  ) {
    this.#completed = alreadyCompleted;
  }

  /** Reports unless nothing changed. `via` replaces the usual way, for the last report. */
  report(positionMs: number, durationMs: number, via: (report: Report) => void = this.send): void {
    const position_ms = Math.max(0, Math.round(positionMs));
    const completed = isCompleted(position_ms, durationMs);
    const news = completed && !this.#completed;
    if (!news && this.#sent && Math.abs(this.#sent.position_ms - position_ms) < SAME_MS) return;
    this.#completed ||= completed;
    // Once completed stays completed: a second viewing takes nothing away.
    this.#sent = this.#completed ? { position_ms, completed: true } : { position_ms };
    via(this.#sent);
  }
}
