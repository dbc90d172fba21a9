import type { Clock, Millis } from "../foundation/time.ts";

/** From 200 ms, doubled up to 10 s, +-20 %: quick after a hiccup, and no stampede after an outage. */
export function reconnectDelay(failures: number, chance: number): Millis {
  if (failures <= 0) return 0;
  return Math.min(10_000, 200 * 2 ** Math.min(failures - 1, 10)) * (0.8 + 0.4 * chance);
}

/** How long an unanswered first request is waited for: 60 s, doubled each time in a row up to 5 minutes. */
export const watchdogDelay = (base: Millis, inRow: number): Millis =>
  Math.min(5 * base, base * 2 ** Math.min(inRow, 3));

/** What all streams know of the control plane together, so that a new stream does not start the back-off anew. */
export class Backoff {
  readonly #clock: Clock;
  readonly #random: () => number;
  #failures = 0;
  #notBefore: Millis = 0;

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  get failures(): number {
    return this.#failures;
  }

  failed(): void {
    this.#failures += 1;
    this.#notBefore = this.#clock.monotonic() + reconnectDelay(this.#failures, this.#random());
  }

  /** The control plane said something useful: the next failure is a first one. */
  succeeded(): void {
    this.#failures = 0;
    this.#notBefore = 0;
  }

  /** How long the next try has to wait, in ms. */
  wait(): Millis {
    return Math.max(0, this.#notBefore - this.#clock.monotonic());
  }
}
