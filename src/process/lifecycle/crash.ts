import type { Millis } from "../../foundation/time.ts";
import { type CrashCause, causeOf, noteCrash } from "../crash-book.ts";
import { exitInWords } from "../exit-words.ts";
import { drainAndStop, endEnvoys, finish, hasChild } from "./ending.ts";
import { nextRecord, record } from "./ledger.ts";
import {
  after,
  type Effect,
  type EpochRecord,
  type ExitFacts,
  type Ledger,
  type LifecycleLimits,
  type Outcome,
  type StartPlan,
  type Step,
  type Stop,
  tell,
} from "./states.ts";

/*
 * What follows a crash of the newest Envoy. First choice: its listen sockets are still held by us, so the next epoch
 * adopts them and nobody is refused (hot-restart.md 11). Second: its parent still lives and drains, so the same epoch
 * starts over it again (2 d). Else epoch 0, which needs nothing and nobody.
 */

/** Callers wait in the queue of a kept socket; beyond this it is kinder to refuse them. */
const KEEP_DURING: Millis = 1_000;
/** A start over kept sockets that has not taken them by then lets callers hang. */
export const LET_GO: Millis = 10_000;

export interface Death {
  readonly dead: EpochRecord;
  readonly facts: ExitFacts;
  /** One that lives on without listeners, if there is one. */
  readonly older: EpochRecord | undefined;
  /** The dead one had only just taken over: what it was started with is not proven. */
  readonly wasNew: boolean;
  /** The dead one was itself started over kept sockets and never took over. */
  readonly overKept: boolean;
}

export function recover(death: Death, now: Millis, ledger: Ledger, limits: LifecycleLimits): Step {
  const { dead, facts } = death;
  const wasLive = dead.liveAt !== undefined;
  if (wasLive && facts.exit.how === "exited" && facts.exit.code === 0) return asked(death, now, ledger, limits);
  const cause = causeOf(facts.exit, wasLive, facts.outOfMemory);
  const outcome: Outcome = { how: "died", epoch: dead.epoch, beforeLive: !wasLive, exit: facts.exit };
  // The very first configuration is refused for good: no second look makes it better.
  if (!ledger.everLive && (cause === "config-refused" || cause === "cannot-exec")) return finish(outcome);
  // A child of a hot restart that dies at once ends a long good run, not a loop.
  const ranFor = wasLive && ledger.servesSince !== undefined ? now - ledger.servesSince : 0;
  const noted = noteCrash(ledger.book, { cause, at: now, ranFor, jitter: facts.jitter });
  const next: Ledger = { ...ledger, book: noted.book };
  const said = tell("warn", "Envoy died", {
    epoch: dead.epoch,
    how: exitInWords(facts.exit, facts.outOfMemory),
    cause,
    keptSockets: facts.kept,
  });
  if (noted.patience.spent)
    return after([said], giveUp(death, cause, noted.patience.count, outcome, now, next, limits));
  return after([said], startAgain(death, noted.patience.wait, now, next, limits));
}

/** Envoy ended with 0: somebody asked it through its admin, and it told its parent. */
function asked({ dead, older }: Death, now: Millis, ledger: Ledger, limits: LifecycleLimits): Step {
  if (older === undefined) return finish({ how: "asked-envoy", epoch: dead.epoch });
  const because: Outcome = { how: "asked-envoy", epoch: dead.epoch };
  return endEnvoys([older], { reason: "Envoy was asked to end", drain: false, at: now, because }, ledger, limits);
}

/** Kubernetes shall see a crash loop for what it is; what an older one still has gets its time. */
function giveUp(
  { older }: Death,
  cause: CrashCause,
  count: number,
  outcome: Outcome,
  now: Millis,
  ledger: Ledger,
  limits: LifecycleLimits,
): Step {
  const said = tell("warn", "Envoy is not started again", { cause, count });
  if (older === undefined) return after([said], finish(outcome));
  const stop: Stop = { reason: "Envoy crashed too often", drain: true, at: now, because: outcome };
  return after([said], drainAndStop([older], stop, now, ledger, limits));
}

function startAgain(death: Death, wait: Millis, now: Millis, ledger: Ledger, limits: LifecycleLimits): Step {
  const plan = planAfter(death, wait, ledger);
  const dropped: Effect[] = plan.over === "kept-sockets" ? [] : [{ run: "drop-sockets" }];
  if (wait <= 0) return after(dropped, startNow(plan, death.older, now, ledger, limits));
  return {
    next: { is: "waiting", plan, older: death.older, ledger },
    effects: [
      ...dropped,
      tell("info", "Envoy is started again after a while", { epoch: plan.epoch, afterMs: Math.round(wait) }),
      { run: "arm", of: death.dead.run, timer: "backoff", after: wait },
    ],
  };
}

/** How the next one is started. */
function planAfter({ dead, facts, older, wasNew, overKept }: Death, wait: Millis, ledger: Ledger): StartPlan {
  // SIGKILL comes from outside; everything else speaks against what was new.
  const blamed = wasNew && !(facts.exit.how === "killed" && facts.exit.signal === "SIGKILL");
  const { lineage } = dead;
  const common = { using: blamed ? "before" : "proven", cause: "crash" } as const;
  if (facts.kept > 0 && wait <= KEEP_DURING && (dead.liveAt !== undefined || overKept))
    return { ...common, lineage, over: "kept-sockets", epoch: overKept ? dead.epoch : dead.epoch + 1 };
  if (older !== undefined && hasChild(older, [dead])) return { ...common, lineage, over: "parent", epoch: dead.epoch };
  // Whoever is left holds the names of its lineage.
  return { ...common, epoch: 0, over: "nobody", lineage: older === undefined ? lineage : ledger.lineages + 1 };
}

/** Carries a plan out: a record, a state that waits for LIVE, the effects of a start. */
export function startNow(
  plan: StartPlan,
  older: EpochRecord | undefined,
  now: Millis,
  before: Ledger,
  limits: LifecycleLimits,
): Step {
  const over = plan.over === "parent" && older === undefined ? "nobody" : plan.over;
  const epoch = over === "nobody" ? 0 : plan.epoch;
  const { record: current, ledger } = nextRecord(before, now, { ...plan, epoch });
  const effects: Effect[] = [
    { run: "start", of: current, over, using: plan.using },
    { run: "await-live", of: current },
  ];
  if (over === "parent" && older !== undefined) {
    // A parent that hangs lets it wait for ever.
    effects.push({ run: "arm", of: current.run, timer: "live", after: limits.liveWithin });
    return { next: { is: "initializing", current: older, child: current, restart: undefined, ledger }, effects };
  }
  if (over !== "kept-sockets") return { next: { is: "starting", current, over: "nobody", older, ledger }, effects };
  effects.push({ run: "arm", of: current.run, timer: "let-go", after: LET_GO });
  return { next: { is: "starting", current, over, older, ledger }, effects };
}

/** A recovery that worked, for the history. */
export const recovered = (current: EpochRecord, now: Millis): Effect =>
  record({
    at: now,
    cause: current.cause,
    by: current.cause === "crash" ? "crash" : "start",
    outcome: "done",
    epoch: current.epoch,
    took: now - current.startedAt,
    why: "",
  });
