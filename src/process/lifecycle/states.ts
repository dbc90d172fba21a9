import type { Millis } from "../../foundation/time.ts";
import type { ExitReport } from "../../system/programs.ts";
import type { CrashBook } from "../crash-book.ts";
import type { DrainLimits, StopAsk } from "../drain-plan.ts";
import type { RestartOutcome } from "../launch.ts";

/** One Envoy process. */
export interface EpochRecord {
  /** Serial number of the start: the name of this process in events and effects. Epochs come back, runs never. */
  readonly run: number;
  /** Value of --restart-epoch. */
  readonly epoch: number;
  /** Envoys of one lineage hand over to one another; a swap begins the next lineage, with an admin socket of its own. */
  readonly lineage: number;
  readonly startedAt: Millis;
  readonly liveAt: Millis | undefined;
  /** Its admin went to a child that is dead now: nothing can be asked of it. */
  readonly adminLost: boolean;
  /** Why it was started, in words: "start", "SIGHUP", "crash". */
  readonly cause: string;
}

/** A wish for another Envoy; several that wait are made one. */
export interface Restart {
  /** Those who wait for the answer. */
  readonly ids: readonly number[];
  readonly cause: string;
  readonly strategy: "auto" | "swap";
  readonly explicit: boolean;
  readonly ignoreMemory: boolean;
  readonly since: Millis;
  /** Failed tries so far. */
  readonly attempt: number;
}

/** What every state carries along. */
export interface Ledger {
  readonly book: CrashBook;
  /** Wishes that came while something else was done. */
  readonly queue: Restart | undefined;
  /** Serial numbers given out so far. */
  readonly runs: number;
  readonly lineages: number;
  readonly everLive: boolean;
  /** Since when somebody has served without a crash in between, whichever epoch. */
  readonly servesSince: Millis | undefined;
  /** POST /drain came while nobody served: the reason. Whoever serves next drains at once. */
  readonly toDrain: string | undefined;
}

export interface Stop extends StopAsk {
  /** In words, for the log and the post-mortem: "SIGTERM", "POST /quitquitquit". */
  readonly reason: string;
  /** What is reported at the end when nobody asked for it: crashes that were too many. */
  readonly because?: Outcome;
}

/** What is known about connections during a drain. */
export interface Connections {
  /** Open connections on listeners that are not ours; undefined when Envoy did not say. */
  readonly active: number | undefined;
  /** Whether the pod was called from outside within the last minute; undefined when nobody knows. */
  readonly calledLately: boolean | undefined;
  /** Since when every count has failed; kept by the machine. */
  readonly blindSince?: Millis | undefined;
}

export type Outcome =
  | {
      readonly how: "stopped";
      readonly reason: string;
      readonly forced: boolean;
      readonly exit: ExitReport | undefined;
    }
  | { readonly how: "asked-envoy"; readonly epoch: number }
  | { readonly how: "died"; readonly epoch: number; readonly beforeLive: boolean; readonly exit: ExitReport }
  | { readonly how: "not-started"; readonly epoch: number; readonly error: Error };

/** What a new Envoy starts over. */
export type Over =
  /** Nobody lives: epoch 0, it binds its own sockets. */
  | "nobody"
  /** A living Envoy of the epoch before hands over. */
  | "parent"
  /** The one before is dead; we stand in for it with its listen sockets. */
  | "kept-sockets";

/** The next start after a crash. */
export interface StartPlan {
  readonly epoch: number;
  readonly lineage: number;
  readonly over: Over;
  /** "before": the one that died was new; start what served before it. */
  readonly using: "prepared" | "proven" | "before";
  readonly cause: string;
}

export type TimerName =
  | "live"
  | "let-go"
  | "retry"
  | "backoff"
  | "parent-end"
  | "probation"
  | "old-end"
  | "drain-poll"
  | "drain-end"
  | "kill"
  | "kill-again";

/** A stop or a drain that waits for a child to be gone. */
export type Ending = { readonly stop: { readonly reason: string; readonly drain: boolean } | undefined };

interface Carried {
  readonly ledger: Ledger;
}

export type LifecycleState =
  | (Carried & {
      readonly is: "starting";
      readonly current: EpochRecord;
      readonly over: Exclude<Over, "parent">;
      /** One that ends what it has, without listeners. */
      readonly older: EpochRecord | undefined;
    })
  | (Carried & {
      readonly is: "live";
      readonly current: EpochRecord;
      /** A restart that failed and is tried again when the timer "retry" fires. */
      readonly retry: Restart | undefined;
    })
  | (Carried & { readonly is: "checking"; readonly current: EpochRecord; readonly restart: Restart })
  | (Carried & {
      readonly is: "initializing";
      /** Serves. */
      readonly current: EpochRecord;
      readonly child: EpochRecord;
      /** Undefined: the child takes the place of one that died in the overlap. */
      readonly restart: Restart | undefined;
    })
  | (Carried & {
      readonly is: "cancelling";
      /** Serves; undefined when it died too. */
      readonly current: EpochRecord | undefined;
      /** Was sent SIGKILL. */
      readonly child: EpochRecord;
      readonly restart: Restart | undefined;
      readonly why: string;
      readonly ending: Ending | undefined;
      /** How the parent died, when it did. */
      readonly loss: { readonly record: EpochRecord; readonly exit: ExitFacts } | undefined;
    })
  | (Carried & {
      readonly is: "mending";
      readonly current: EpochRecord;
      readonly restart: Restart | undefined;
      readonly why: string;
    })
  | (Carried & {
      readonly is: "overlap";
      /** Newest: it serves. */
      readonly current: EpochRecord;
      /** Drains; undefined when it is dead and stood in for. */
      readonly parent: EpochRecord | undefined;
      readonly until: Millis;
    })
  | (Carried & { readonly is: "waiting"; readonly plan: StartPlan; readonly older: EpochRecord | undefined })
  | (Carried & {
      readonly is: "trial";
      /** The old one. */
      readonly current: EpochRecord;
      readonly fresh: EpochRecord;
      readonly restart: Restart;
      /** Set when the fresh one was told to go: what is wrong with it. */
      readonly failed: string | undefined;
    })
  | (Carried & {
      readonly is: "yielding";
      readonly current: EpochRecord;
      /** Drains: of another lineage, or its child is dead. */
      readonly old: EpochRecord;
      readonly told: "to-drain" | "to-end" | "killed";
      /** `current` adopted kept sockets, and asks us as its parent until it says Terminate. */
      readonly stoodIn: boolean;
    })
  | (Carried & {
      readonly is: "draining";
      readonly current: EpochRecord;
      /** Others that must be gone too, newest first. */
      readonly others: readonly EpochRecord[];
      /** Undefined after POST /drain: drain only, the stop comes later. */
      readonly stop: Stop | undefined;
      readonly since: Millis;
      readonly seen: Connections;
      /** Open connections of each one that was asked, by run; undefined: it did not say. */
      readonly active: Readonly<Record<number, number | undefined>>;
    })
  | (Carried & {
      readonly is: "stopping";
      readonly current: EpochRecord;
      readonly others: readonly EpochRecord[];
      readonly stop: Stop;
      readonly kills: number;
    })
  | { readonly is: "gone"; readonly outcome: Outcome };

/** How a process ended, with what the driver knows about it at that moment. */
export interface ExitFacts {
  readonly exit: ExitReport;
  /** Listen sockets that we keep of it. */
  readonly kept: number;
  readonly outOfMemory: boolean;
  /** Drawn from -0.2..0.2, for the back-off. */
  readonly jitter: number;
}

export type LifecycleEvent =
  /** It is LIVE: its admin said so with its epoch, or the shared flag went from set to clear. */
  | { readonly on: "live"; readonly run: number }
  | ({ readonly on: "exited"; readonly run: number } & ExitFacts)
  | { readonly on: "not-started"; readonly run: number; readonly error: Error }
  | { readonly on: "restart"; readonly restart: Restart }
  /** What the preflight found for a restart of this one. */
  | { readonly on: "checked"; readonly run: number; readonly found: Found }
  /** After a dead child, for this parent: the flag is clear and answers that were owed are taken, or why that could not be had. */
  | {
      readonly on: "mended";
      readonly run: number;
      readonly ok: boolean;
      readonly why: string;
      readonly adminLost: boolean;
    }
  /** A child that we stand in for as its parent will never ask again. */
  | { readonly on: "terminated"; readonly run: number }
  /** The admin of a process has been silent for too long. */
  | { readonly on: "silent"; readonly run: number }
  /** What the one on probation does is not good. */
  | { readonly on: "unfit"; readonly run: number; readonly why: string }
  | { readonly on: "stop"; readonly reason: string; readonly drain: boolean }
  | { readonly on: "drain"; readonly reason: string }
  | { readonly on: "connections"; readonly run: number; readonly seen: Connections }
  | { readonly on: "timer"; readonly run: number; readonly timer: TimerName };

export type Found =
  | { readonly is: "ready"; readonly by: "hot-restart" | "swap"; readonly because: string }
  | { readonly is: "unchanged" }
  | { readonly is: "refused"; readonly check: string; readonly why: string };

/** One line of what became of starts and restarts, for status and metrics. */
export interface HistoryEntry {
  readonly at: Millis;
  readonly cause: string;
  readonly by: "start" | "crash" | "hot-restart" | "swap" | "overlap";
  readonly outcome: "done" | "failed" | "refused" | "unchanged";
  readonly epoch: number;
  readonly took: Millis;
  readonly why: string;
}

export type Effect =
  /** Exec. Over kept sockets: stand in first; when that can't be, "not-started" comes back. */
  | {
      readonly run: "start";
      readonly of: EpochRecord;
      readonly over: Over;
      readonly using: "prepared" | "proven" | "before";
    }
  /** Look until it is LIVE; posts "live". */
  | { readonly run: "await-live"; readonly of: EpochRecord }
  | { readonly run: "check"; readonly of: EpochRecord; readonly restart: Restart }
  /** Take the answers that the parent owes to a dead child, clear the flag; posts "mended". */
  | { readonly run: "mend"; readonly dead: EpochRecord; readonly parent: EpochRecord }
  /** Answer for a dead parent, until the child says Terminate ("terminated") or "end-stand-in". */
  | { readonly run: "stand-in"; readonly dead: EpochRecord; readonly child: EpochRecord }
  | { readonly run: "end-stand-in" }
  /** What this one was started with has proven good; `of` serves from now on. */
  | { readonly run: "serves"; readonly of: EpochRecord }
  | { readonly run: "drop-sockets" }
  /** Watch it on probation; posts "unfit". */
  | { readonly run: "watch-trial"; readonly of: EpochRecord }
  | {
      readonly run: "drain-listeners";
      readonly of: EpochRecord;
      readonly skipExit: boolean;
      /** Close the listeners at once: somebody else accepts on the same ports. */
      readonly atOnce: boolean;
    }
  /** Ask for the connections once; posts "connections". */
  | { readonly run: "count-connections"; readonly of: EpochRecord }
  | { readonly run: "signal"; readonly of: number; readonly signal: "SIGTERM" | "SIGKILL" }
  | { readonly run: "arm"; readonly of: number; readonly timer: TimerName; readonly after: Millis }
  | { readonly run: "answer"; readonly ids: readonly number[]; readonly outcome: RestartOutcome }
  | { readonly run: "record"; readonly entry: HistoryEntry }
  | { readonly run: "tell"; readonly level: "info" | "warn"; readonly text: string; readonly facts: Facts }
  | { readonly run: "finish"; readonly outcome: Outcome };

export type Facts = Readonly<Record<string, unknown>>;

export interface Step {
  readonly next: LifecycleState;
  readonly effects: readonly Effect[];
}

export interface LifecycleLimits extends DrainLimits {
  /** From SIGTERM to SIGKILL. */
  readonly killGrace: Millis;
  /** How long an old Envoy lives on after its child is LIVE (--parent-shutdown-time-s). */
  readonly parentShutdown: Millis;
  /** How long a child may take to be LIVE while its parent serves. */
  readonly liveWithin: Millis;
  /** How long a swapped-in Envoy is watched before the old one is drained. */
  readonly probation: Millis;
  /** Tries of one restart. */
  readonly attempts: number;
  /** From a failed try to the next; doubles. */
  readonly retryAfter: Millis;
}

export type StateOf<S extends LifecycleState["is"]> = Extract<LifecycleState, { is: S }>;
export type EventOf<E extends LifecycleEvent["on"]> = Extract<LifecycleEvent, { on: E }>;
export type Cell<S extends LifecycleState["is"], E extends LifecycleEvent["on"]> = (
  state: StateOf<S>,
  event: EventOf<E>,
  now: Millis,
  limits: LifecycleLimits,
) => Step;

/** All cells of one state. */
export type Row<S extends LifecycleState["is"]> = { readonly [E in LifecycleEvent["on"]]: Cell<S, E> };

export const stay = (state: LifecycleState): Step => ({ next: state, effects: [] });

export const tell = (level: "info" | "warn", text: string, facts: Facts = {}): Effect => ({
  run: "tell",
  level,
  text,
  facts,
});

/** The same step with effects before its own. */
export const after = (first: readonly Effect[], then: Step): Step => ({
  next: then.next,
  effects: [...first, ...then.effects],
});
