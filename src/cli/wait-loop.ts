import { type Clock, type Millis, pause } from "../foundation/time.ts";

/** Something that `wait` can wait for; each kind of target is one such function. */
export type Ask = (limit: Millis) => Promise<Answer>;
export type Answer = { readonly ready: true } | { readonly ready: false; readonly because: string };

export interface WaitLimits {
  /** Altogether; the last question may begin when it is just over, and is cut to `request`. */
  readonly total: Millis;
  /** For one question. */
  readonly request: Millis;
  /** Between two questions. */
  readonly period: Millis;
}

export type WaitResult = { readonly ready: true } | { readonly ready: false; readonly because: string };

/** Asks until the answer is yes or the time is over; `tell` hears the reasons, thinned out by ReasonTeller. */
export async function waitUntil(
  clock: Clock,
  limits: WaitLimits,
  ask: Ask,
  tell: (because: string) => void,
): Promise<WaitResult> {
  const end = clock.monotonic() + limits.total;
  const teller = new ReasonTeller(tell);
  for (;;) {
    const left = end - clock.monotonic();
    const answer = await ask(left > 0 ? Math.min(limits.request, left) : limits.request);
    if (answer.ready) return answer;
    const now = clock.monotonic();
    teller.hear(answer.because, now);
    if (now + limits.period >= end) return answer;
    await pause(clock, limits.period);
  }
}

/** A new reason is worth a line, at most one a second; the same one again after a while, as a sign of life. */
const BETWEEN_LINES: Millis = 1_000;
const SAME_AGAIN: Millis = 10_000;

class ReasonTeller {
  readonly #tell: (because: string) => void;
  #last: { readonly because: string; readonly at: Millis } | undefined;

  constructor(tell: (because: string) => void) {
    this.#tell = tell;
  }

  hear(because: string, now: Millis): void {
    const quiet = this.#last === undefined ? Number.POSITIVE_INFINITY : now - this.#last.at;
    if (quiet < (because === this.#last?.because ? SAME_AGAIN : BETWEEN_LINES)) return;
    this.#last = { because, at: now };
    this.#tell(because);
  }
}
