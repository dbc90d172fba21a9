/** A duration or a point on the monotonic clock, in milliseconds. */
export type Millis = number;

/** Time as a port: the real one is system/clock.ts, tests bring their own. */
export interface Clock {
  /** Milliseconds that never go back. Only for durations and deadlines. */
  monotonic(): Millis;
  /** The calendar. Only for certificates, log lines and people. */
  wall(): Date;
  /** Runs `fire` once after `delay`; the result cancels it. Any delay works, also more than 2^31 - 1 ms. */
  after(delay: Millis, fire: () => void): () => void;
}

export type Waited<T> = { readonly timedOut: false; readonly value: T } | { readonly timedOut: true };

/** Waits for `work`, at most `limit` ms. The time-out is data, not an exception; the timer is always cleared. */
export function within<T>(clock: Clock, limit: Millis, work: Promise<T>): Promise<Waited<T>> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(limit, () => resolve({ timedOut: true }));
    work.then(
      (value) => {
        cancel();
        resolve({ timedOut: false, value });
      },
      (error: unknown) => {
        cancel();
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}

/** Resolves after `delay` ms, or at once when `signal` aborts. Never rejects. */
export function pause(clock: Clock, delay: Millis, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const onAbort = () => {
      cancel();
      resolve();
    };
    const cancel = clock.after(delay, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
