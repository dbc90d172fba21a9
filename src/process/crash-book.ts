import type { Millis } from "../foundation/time.ts";
import type { ExitReport } from "../system/programs.ts";

/**
 * What killed an Envoy decides how patient we are. Each cause has a budget of its own, which refills with running time:
 * a fault that comes once an hour is not a crash loop, one that comes five times before Envoy was ever LIVE is.
 */
export type CrashCause =
  /** The binary could not be executed. */
  | "cannot-exec"
  /** Envoy ended with an exit code before it was LIVE: it refused what it was given. */
  | "config-refused"
  /** A signal before it was LIVE. */
  | "crash-before-live"
  /** A signal or an exit code after it was LIVE. */
  | "crash-after-live"
  /** The kernel's counter proves that memory was the reason. */
  | "out-of-memory";

export interface CrashBudget {
  /** So many are forgiven ... */
  readonly most: number;
  /** ... and one is forgotten each time this much passes. */
  readonly refill: Millis;
}

/**
 * Defaults: a loop that never gets LIVE ends after 5; 20 crashes after LIVE that are 10 s apart are borne (19 refills
 * of 15 s in 190 s leave 8 on the book, far from 12, but 12 within a few seconds are the end).
 */
export const crashBudgets: Readonly<Record<CrashCause, CrashBudget>> = {
  "cannot-exec": { most: 3, refill: 60_000 },
  "config-refused": { most: 3, refill: 300_000 },
  "crash-before-live": { most: 5, refill: 120_000 },
  "crash-after-live": { most: 12, refill: 15_000 },
  "out-of-memory": { most: 5, refill: 120_000 },
};

/** How many of each cause stand on the book, as of `at`. A value: every note gives a new one. */
export interface CrashBook {
  readonly counts: Readonly<Partial<Record<CrashCause, { readonly count: number; readonly at: Millis }>>>;
  /** Crashes in a row without good service in between: for the back-off. */
  readonly row: number;
}

export const cleanBook: CrashBook = { counts: {}, row: 0 };

export interface Crash {
  readonly cause: CrashCause;
  readonly at: Millis;
  /** How long it had been LIVE. */
  readonly ranFor: Millis;
  /** Drawn from -0.2..0.2. */
  readonly jitter: number;
}

export type Patience =
  | { readonly spent: false; readonly wait: Millis }
  | { readonly spent: true; readonly count: number };

/** So much service forgives the back-off: a fault now and then is answered at once, and nobody is refused meanwhile. */
const GOOD_RUN: Millis = 5_000;
const FIRST_WAIT: Millis = 200;
const LONGEST_WAIT: Millis = 30_000;

/** Notes a crash. The first of a row is answered at once; then 200 ms, doubling up to 30 s. */
export function noteCrash(
  book: CrashBook,
  { cause, at, ranFor, jitter }: Crash,
  budgets: Readonly<Record<CrashCause, CrashBudget>> = crashBudgets,
): { readonly book: CrashBook; readonly patience: Patience } {
  const budget = budgets[cause];
  const before = book.counts[cause];
  const refilled = before === undefined ? 0 : Math.max(0, before.count - (at - before.at) / budget.refill);
  const count = refilled + 1;
  // The first one of all counts as one after good service.
  const row = ranFor >= GOOD_RUN || Object.keys(book.counts).length === 0 ? 0 : book.row + 1;
  const next: CrashBook = { counts: { ...book.counts, [cause]: { count, at } }, row };
  if (count > budget.most) return { book: next, patience: { spent: true, count: Math.round(count) } };
  const wait = row === 0 ? 0 : Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(row - 1, 20)) * (1 + jitter);
  return { book: next, patience: { spent: false, wait: Math.round(wait) } };
}

/** Which budget an end counts against. */
export function causeOf(exit: ExitReport, wasLive: boolean, outOfMemory: boolean): CrashCause {
  if (outOfMemory && exit.how === "killed" && exit.signal === "SIGKILL") return "out-of-memory";
  if (wasLive) return "crash-after-live";
  if (exit.how === "exited" && (exit.code === 126 || exit.code === 127)) return "cannot-exec";
  return exit.how === "exited" ? "config-refused" : "crash-before-live";
}
