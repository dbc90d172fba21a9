import type { FailureKind, LoadFailure } from "../helpers/load/load.ts";

/*
 * Which failures nobody could have avoided. Every fault says what it made unavoidable, from the facts of its moment:
 * what was in flight on a process that was killed, what hung on one that was stopped, and an outage where the only one
 * that accepted died and nobody held its listen sockets.
 */

/** Milliseconds of the calendar. */
export interface Window {
  readonly fault: string;
  readonly from: number;
  /** Undefined: not over yet. */
  to: number | undefined;
  readonly what: /** In flight at `from`, on a process that died then. */
    | "in-flight"
    /** In flight at any time of the window, on a process that stood still. */
    | "standing"
    /** Everything, refusals included. */
    | "outage";
}

/** A client learns of a cut connection so late: its event loop and the kernel are busy like everything here. */
const LATE = 150;
/** And an answer or a reset takes this long to be seen by a request that was under way. */
const SEEN_WITHIN = 3_000;

/** Name of the load's entry that asks whether we are ready. */
export const READINESS = "readiness";

const cut: ReadonlySet<FailureKind> = new Set(["reset", "truncated"]);

/** Whether the window explains the failure. */
export function explains({ what, from, to }: Window, failure: LoadFailure): boolean {
  const { what: kind, began, failed } = failure;
  const end = to ?? Number.POSITIVE_INFINITY;
  // We say so truthfully while nobody serves; through a restart and a swap we are ready.
  if (failure.entry === READINESS) return failed >= from - LATE && began <= end + LATE;
  if (what === "outage") return failed >= from - LATE && began <= end + LATE;
  if (what === "standing") return (cut.has(kind) || kind === "timed-out") && failed >= from && began <= end + LATE;
  return cut.has(kind) && began <= from + LATE && failed >= from - LATE && failed <= from + SEEN_WITHIN;
}

export interface Sorted {
  readonly avoidable: readonly LoadFailure[];
  /** By fault. */
  readonly unavoidable: ReadonlyMap<string, number>;
}

/** `oldEnds`: TCP connections that are older than this are cut when an old Envoy ends, ms. */
export function sortFailures(failures: readonly LoadFailure[], windows: readonly Window[], oldEnds: number): Sorted {
  const avoidable: LoadFailure[] = [];
  const unavoidable = new Map<string, number>();
  for (const failure of failures) {
    const why = reasonOf(failure, windows, oldEnds);
    if (why === undefined) avoidable.push(failure);
    else unavoidable.set(why, (unavoidable.get(why) ?? 0) + 1);
  }
  return { avoidable, unavoidable };
}

function reasonOf(failure: LoadFailure, windows: readonly Window[], oldEnds: number): string | undefined {
  const found = windows.find((one) => explains(one, failure));
  if (found !== undefined) return `${found.what}: ${found.fault}`;
  const long = failure.entry.startsWith("tcp") && (failure.connectionAge ?? 0) >= oldEnds;
  return long && cut.has(failure.what) ? "a TCP connection older than an old Envoy may become" : undefined;
}
