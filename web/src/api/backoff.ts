// How long to wait before trying again.

/** Milliseconds before attempt number `attempt` (from 0): doubling from 1 s to 30 s, spread by `random` in 0..1. */
export function backoffMs(attempt: number, random: number = Math.random()): number {
  const ceiling = Math.min(30_000, 1000 * 2 ** Math.min(attempt, 10));
  return Math.round(ceiling * (0.75 + 0.25 * random));
}

/** Waits; ends early when the browser comes back online, rejects when aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (done: () => void) => () => {
      clearTimeout(timer);
      removeEventListener('online', resume);
      signal.removeEventListener('abort', stop);
      done();
    };
    const resume = settle(resolve);
    const stop = settle(() => reject(signal.reason as Error));
    const timer = setTimeout(resume, ms);
    addEventListener('online', resume);
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
  });
}
