import type { Millis } from "../foundation/time.ts";

/** A suspended machine does not count monotonic time, and clocks jump: look again at least so often. */
export const LONGEST_LOOK: Millis = 60_000;

/**
 * How long until a certificate should be renewed, in ms, 0 when it is due: at `notAfter - lifetime x (ratio + jitter)`
 * (features.md CERT-6). The jitter was drawn by the caller, once for each certificate, from -jitter..+jitter.
 */
export function renewalDelay(
  certificate: { readonly notBefore: Date; readonly notAfter: Date },
  now: Date,
  grace: { readonly ratio: number; readonly jitter: number },
): Millis {
  const lifetime = certificate.notAfter.getTime() - certificate.notBefore.getTime();
  const part = Math.min(1, Math.max(0, grace.ratio + grace.jitter));
  return Math.max(0, certificate.notAfter.getTime() - lifetime * part - now.getTime());
}

/** Codes that another try may mend (features.md CERT-12): canceled, deadline, exhausted, aborted, internal, unavailable. */
const passing: readonly number[] = [1, 4, 8, 10, 13, 14];
export const isPassing = (code: number | undefined): boolean => code !== undefined && passing.includes(code);

const LONGEST_WAIT: Millis = 30_000;

/**
 * The wait before try `attempt` (1 is the first repetition), in ms: from 100 ms for a fault that passes, from 1 s for
 * a refusal, doubled each time up to 30 s, +-10 % by `chance` (0..1).
 */
export function retryDelay(attempt: number, code: number | undefined, chance: number): Millis {
  const first = isPassing(code) ? 100 : 1_000;
  return Math.min(LONGEST_WAIT, first * 2 ** Math.min(attempt - 1, 20)) * (0.9 + 0.2 * chance);
}
