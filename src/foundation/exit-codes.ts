import { InternalError, InvalidConfig, Refused, Unavailable } from "./errors.ts";

/** Exit codes by name (design: sysexits' where there is one). */
export const exitCodes = {
  ok: 0,
  /** Somebody said no, it timed out, Envoy ended by itself. */
  failed: 1,
  /** EX_USAGE: unusable arguments or configuration. */
  usage: 64,
  /** EX_UNAVAILABLE: something needed is missing. */
  unavailable: 69,
  /** EX_SOFTWARE: a bug of ours. */
  internal: 70,
  /** Capture rules are not as they should be. */
  validation: 126,
} as const;

export function exitCodeOf(error: unknown): number {
  if (error instanceof InvalidConfig) return exitCodes.usage;
  if (error instanceof Unavailable) return exitCodes.unavailable;
  if (error instanceof Refused) return exitCodes.failed;
  if (error instanceof InternalError) return exitCodes.internal;
  return exitCodes.internal;
}
