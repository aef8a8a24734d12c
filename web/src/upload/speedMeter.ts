// How fast an upload goes and how long it will take, from the last seconds.

const WINDOW_MS = 10_000;
const NEEDED_MS = 1_000;

export class SpeedMeter {
  #samples: { at: number; bytes: number }[] = [];

  /** `bytes`: sent in all, at `now` (milliseconds). */
  add(now: number, bytes: number): void {
    const last = this.#samples.at(-1);
    // Going back means a resumed upload: what was measured before says nothing now.
    if (last && bytes < last.bytes) this.#samples = [];
    this.#samples.push({ at: now, bytes });
    while (this.#samples.length > 2 && now - (this.#samples[0]?.at ?? now) > WINDOW_MS) this.#samples.shift();
  }

  reset(): void {
    this.#samples = [];
  }

  /** Bytes a second; null while too little is known. */
  speed(): number | null {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last || last.at - first.at < NEEDED_MS) return null;
    return ((last.bytes - first.bytes) * 1000) / (last.at - first.at);
  }

  /** Milliseconds until `total` bytes are sent; null while it cannot be told. */
  timeLeft(total: number): number | null {
    const speed = this.speed();
    const sent = this.#samples.at(-1)?.bytes ?? 0;
    return speed && speed > 0 ? ((total - sent) * 1000) / speed : null;
  }
}
