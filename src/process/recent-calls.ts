import type { Millis } from "../foundation/time.ts";

/** "Lately" is the last minute: how long callers' endpoint lists may lag, with room to spare. */
export const LATELY: Millis = 60_000;
/** How often the totals are looked at. Short enough that "a minute" is never more than 1:20. */
export const SAMPLE_EVERY: Millis = 20_000;

/**
 * Whether the pod was called from outside within the last minute, from samples of "connections so far". A value type:
 * each note gives a new one.
 */
export interface CallHistory {
  readonly samples: readonly { readonly at: Millis; readonly total: number }[];
}

export const noCalls: CallHistory = { samples: [] };

/** Keeps the newest sample that is at least a minute old, and everything after it. */
export function noteTotal(history: CallHistory, at: Millis, total: number): CallHistory {
  const samples = [...history.samples, { at, total }];
  const base = samples.findLastIndex((one) => at - one.at >= LATELY);
  return { samples: samples.slice(Math.max(0, base)) };
}

/** `now` are the counts of this moment: an open connection is a caller, too. */
export function calledLately(
  history: CallHistory,
  at: Millis,
  now: { readonly inboundActive: number; readonly inboundTotal: number },
): boolean {
  if (now.inboundActive > 0) return true;
  const base = history.samples.findLast((one) => at - one.at >= LATELY);
  // Younger than a minute: every connection so far was lately. A smaller total is a new Envoy's.
  return now.inboundTotal > (base === undefined || base.total > now.inboundTotal ? 0 : base.total);
}
