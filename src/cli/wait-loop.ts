import { type Clock, type Millis, pause } from "../foundation/time.ts";

/** Something that `wait` can wait for; each kind of target is one such function. */
export type Ask = (limit: Millis) => Promise<Answer>;
export type Answer = { readonly ready: true } | { readonly ready: false; readonly because: string };

export interface WaitLimits {
  /** Altogether; the last question may begin when it is just over, and is cut to `request`. */
  readonly total: Millis;
  /** For one question. */
  readonly request: Millis;
  /** Between two questions; the first such pause when they grow. */
  readonly period: Millis;
  /** Pauses grow by half each time, to `longest` at most; without it they stay. */
  readonly growth?: {
    readonly longest: Millis;
    /** 0 to 1, spreads each pause by a fifth: a thousand pods that wait for one server come one by one. */
    readonly chance: () => number;
  };
}

export type WaitResult = { readonly ready: true } | { readonly ready: false; readonly because: string };

/** Asks until the answer is yes or the time is over; `tell` hears every reason and when it was heard. */
export async function waitUntil(
  clock: Clock,
  limits: WaitLimits,
  ask: Ask,
  tell: (because: string, now: Millis) => void,
): Promise<WaitResult> {
  const end = clock.monotonic() + limits.total;
  for (let asked = 1; ; asked++) {
    const left = end - clock.monotonic();
    const answer = await ask(left > 0 ? Math.min(limits.request, left) : limits.request);
    if (answer.ready) return answer;
    const now = clock.monotonic();
    tell(answer.because, now);
    if (now + limits.period >= end) return answer;
    await pause(clock, Math.min(pauseAfter(limits, asked), end - now));
  }
}

/** The pause after so many questions (pure but for `chance`). */
export function pauseAfter({ period, growth }: WaitLimits, asked: number): Millis {
  if (growth === undefined) return period;
  const grown = Math.min(period * 1.5 ** (asked - 1), Math.max(period, growth.longest));
  return grown * (0.8 + 0.4 * growth.chance());
}
