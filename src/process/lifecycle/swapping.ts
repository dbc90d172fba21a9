import type { Millis } from "../../foundation/time.ts";
import { recover } from "./crash.ts";
import { drainOnly, stopServing } from "./ending.ts";
import { answer, enqueue, nextRecord, overtaken, queueRestart, record, serve, withoutQueue } from "./ledger.ts";
import { underUs } from "./overlapping.ts";
import {
  after,
  type Effect,
  type EpochRecord,
  type EventOf,
  type Ledger,
  type LifecycleLimits,
  type Restart,
  type Row,
  type StateOf,
  type Step,
  stay,
  tell,
} from "./states.ts";

/*
 * A swap: a second Envoy of another lineage on the same ports (SO_REUSEPORT), with an admin socket of its own. Both
 * accept connections while the new one is on probation (trial); if it fails the old one has never stopped. Then the old
 * one drains and goes (yielding). Nothing ties the two together, so each may be told to end.
 */

/** The old one is looked at so often while its connections end. */
const LOOK: Millis = 500;
/** A hung one still has its share of new connections, and may answer none of them. */
const HUNG_DRAIN: Millis = 5_000;

export function startTrial(
  current: EpochRecord,
  restart: Restart,
  using: "prepared" | "proven",
  now: Millis,
  before: Ledger,
  limits: LifecycleLimits,
): Step {
  const { record: fresh, ledger } = nextRecord(before, now, {
    epoch: 0,
    lineage: before.lineages + 1,
    cause: restart.cause,
  });
  return {
    next: { is: "trial", current, fresh, restart, failed: undefined, ledger },
    effects: [
      // Two lineages on one port: what nobody accepts on would get its share of the connections.
      { run: "drop-sockets" },
      { run: "start", of: fresh, over: "nobody", using },
      { run: "await-live", of: fresh },
      { run: "arm", of: fresh.run, timer: "live", after: limits.liveWithin },
    ],
  };
}

/** Its workers may still serve, its main thread does not: another one takes its place, without being asked for. */
export function replaceHung(current: EpochRecord, now: Millis, ledger: Ledger, limits: LifecycleLimits): Step {
  const how = { ids: [], cause: "hung", strategy: "swap", explicit: true, ignoreMemory: true } as const;
  const said = tell("warn", "Envoy's admin is silent: another Envoy takes its place", { epoch: current.epoch });
  // It is not told anything any more that it would have to answer.
  const hung = { ...current, adminLost: true };
  return after([said], startTrial(hung, { ...how, since: now, attempt: 0 }, "proven", now, ledger, limits));
}

function freshLive(state: StateOf<"trial">, event: EventOf<"live">, now: Millis, limits: LifecycleLimits): Step {
  if (event.run !== state.fresh.run || state.failed !== undefined) return stay(state);
  const fresh = { ...state.fresh, liveAt: now };
  return {
    next: { ...state, fresh },
    effects: [
      tell("info", "The new Envoy is on probation beside the old one", { forMs: limits.probation }),
      { run: "watch-trial", of: fresh },
      { run: "arm", of: fresh.run, timer: "probation", after: limits.probation },
    ],
  };
}

function someoneDied(state: StateOf<"trial">, event: EventOf<"exited">, now: Millis, limits: LifecycleLimits): Step {
  const { current, fresh, restart, ledger } = state;
  if (event.run === fresh.run) {
    const how = event.exit.how === "exited" ? `exit code ${event.exit.code}` : event.exit.signal;
    return rollBack(state, state.failed ?? `the new Envoy ended on probation (${how})`, now);
  }
  if (event.run !== current.run) return stay(state);
  if (fresh.liveAt !== undefined && state.failed === undefined) return accept(state, now, undefined);
  // It is not known to be good; what served before is started again.
  const kill: Effect = { run: "signal", of: fresh.run, signal: "SIGKILL" };
  const queued = enqueue(ledger, restart);
  const death = { dead: current, facts: { ...event, kept: 0 }, older: undefined, wasNew: false, overKept: false };
  return after([kill], recover({ ...death, older: fresh }, now, queued, limits));
}

/** The old one has served all the time. */
function rollBack({ current, restart, ledger }: StateOf<"trial">, why: string, now: Millis): Step {
  const entry = { at: now, cause: restart.cause, by: "swap", outcome: "failed", epoch: current.epoch } as const;
  const effects: Effect[] = [
    tell("warn", "The swap failed; the old Envoy serves on", { cause: restart.cause, why }),
    record({ ...entry, took: now - restart.since, why }),
    answer(restart, { is: "failed", why }),
    { run: "serves", of: current },
  ];
  // A hung one stays hung: it may be found silent again, and the next try is made.
  const again = restart.cause === "hung" ? { ...current, adminLost: false } : current;
  return after(effects, serve(again, ledger));
}

function notStarted(state: StateOf<"trial">, event: EventOf<"not-started">, now: Millis): Step {
  return event.run === state.fresh.run ? rollBack(state, event.error.message, now) : stay(state);
}

function trialTimer(state: StateOf<"trial">, event: EventOf<"timer">, now: Millis, limits: LifecycleLimits): Step {
  const { current, fresh } = state;
  if (event.run !== fresh.run) return stay(state);
  if (state.failed !== undefined)
    return event.timer === "kill" ? { next: state, effects: killFresh(fresh, limits) } : stay(state);
  if (event.timer === "live" && fresh.liveAt === undefined)
    return giveUp(state, `it was not live within ${Math.round(limits.liveWithin / 1_000)} s`, limits);
  if (event.timer !== "probation") return stay(state);
  const accepted = accept(state, now, current);
  const patience = state.restart.cause === "hung" ? Math.min(HUNG_DRAIN, limits.parentShutdown) : limits.parentShutdown;
  return after(accepted.effects, yieldTo(accepted.next, current, patience));
}

/** It serves from now on; `old` is undefined when there is none any more. */
function accept({ fresh, restart, ledger }: StateOf<"trial">, now: Millis, old: EpochRecord | undefined): Step {
  const took = Math.round(now - restart.since);
  const effects: Effect[] = [
    tell("info", "The new Envoy has taken over", { cause: restart.cause, tookMs: took }),
    { run: "serves", of: fresh },
    record({ at: now, cause: restart.cause, by: "swap", outcome: "done", epoch: fresh.epoch, took, why: "" }),
    answer(restart, { is: "restarted", by: "swap", epoch: fresh.epoch, took }),
  ];
  return old === undefined
    ? after(effects, serve(fresh, ledger))
    : { next: { is: "yielding", current: fresh, old, told: "to-drain", stoodIn: false, ledger }, effects };
}

function yieldTo(next: Step["next"], old: EpochRecord, patience: Millis): Step {
  return {
    next,
    effects: [
      { run: "drain-listeners", of: old, skipExit: false, atOnce: true },
      { run: "arm", of: old.run, timer: "drain-poll", after: LOOK },
      { run: "arm", of: old.run, timer: "old-end", after: patience },
    ],
  };
}

/** A fresh one that has connections drains them; one that never was live has none. */
function giveUp(state: StateOf<"trial">, why: string, limits: LifecycleLimits): Step {
  const { fresh } = state;
  const said = tell("warn", "The new Envoy is given up", { why });
  const failed = { ...state, failed: why };
  if (fresh.liveAt === undefined) return { next: failed, effects: [said, ...killFresh(fresh, limits)] };
  return {
    next: failed,
    effects: [
      said,
      { run: "drain-listeners", of: fresh, skipExit: false, atOnce: true },
      { run: "arm", of: fresh.run, timer: "kill", after: limits.killGrace },
    ],
  };
}

/** Again and again: it stands in the way of the next restart. */
const killFresh = ({ run }: EpochRecord, limits: LifecycleLimits): readonly Effect[] => [
  { run: "signal", of: run, signal: "SIGKILL" },
  { run: "arm", of: run, timer: "kill", after: limits.killGrace },
];

function unfit(state: StateOf<"trial">, event: EventOf<"unfit">, _now: Millis, limits: LifecycleLimits): Step {
  if (event.run !== state.fresh.run || state.failed !== undefined) return stay(state);
  return giveUp(state, event.why, limits);
}

/** Both have connections; one that is not live has none. */
function stopTrial(state: StateOf<"trial">, event: EventOf<"stop">, now: Millis, limits: LifecycleLimits): Step {
  const { current, fresh, restart, ledger } = state;
  const kill: Effect[] = fresh.liveAt === undefined ? [{ run: "signal", of: fresh.run, signal: "SIGKILL" }] : [];
  const answers = overtaken(withoutQueue(ledger), event.reason, restart);
  return after([...answers, ...kill], stopServing([current, fresh], event, now, ledger, limits));
}

function drainTrial(state: StateOf<"trial">, event: EventOf<"drain">, now: Millis): Step {
  const { current, fresh, restart, ledger } = state;
  const kill: Effect[] = fresh.liveAt === undefined ? [{ run: "signal", of: fresh.run, signal: "SIGKILL" }] : [];
  const answers = overtaken(withoutQueue(ledger), event.reason, restart);
  return after([...answers, ...kill], drainOnly([current, fresh], event.reason, now, ledger));
}

export const trial: Row<"trial"> = {
  live: freshLive,
  exited: someoneDied,
  "not-started": notStarted,
  restart: queueRestart,
  checked: stay,
  mended: stay,
  terminated: stay,
  silent: stay,
  unfit,
  stop: stopTrial,
  drain: drainTrial,
  connections: stay,
  timer: trialTimer,
};

function oneLeft(state: StateOf<"yielding">, event: EventOf<"exited">, now: Millis, limits: LifecycleLimits): Step {
  const { current, old, ledger } = state;
  if (event.run === old.run) {
    const said = tell("info", "The old Envoy has ended", { epoch: old.epoch });
    return after([said], state.stoodIn ? underUs(current, now, ledger) : serve(current, ledger));
  }
  if (event.run !== current.run) return stay(state);
  return recover({ dead: current, facts: event, older: old, wasNew: false, overKept: false }, now, ledger, limits);
}

/** The one that serves had adopted our sockets, and needs nobody in its parent's place any more. */
function terminated(state: StateOf<"yielding">, event: EventOf<"terminated">): Step {
  if (event.run !== state.current.run || !state.stoodIn) return stay(state);
  return { next: { ...state, stoodIn: false }, effects: [{ run: "end-stand-in" }] };
}

/** Its last connection is gone. */
function seen(state: StateOf<"yielding">, event: EventOf<"connections">, _now: Millis, limits: LifecycleLimits): Step {
  const { old } = state;
  if (event.run !== old.run || state.told !== "to-drain") return stay(state);
  if (event.seen.active === 0) return endOld(state, limits);
  return { next: state, effects: [{ run: "arm", of: old.run, timer: "drain-poll", after: LOOK }] };
}

function endOld(state: StateOf<"yielding">, limits: LifecycleLimits): Step {
  const { old } = state;
  return {
    next: { ...state, told: "to-end" },
    effects: [
      { run: "signal", of: old.run, signal: "SIGTERM" },
      { run: "arm", of: old.run, timer: "kill", after: limits.killGrace },
    ],
  };
}

function oldTimer(state: StateOf<"yielding">, event: EventOf<"timer">, _now: Millis, limits: LifecycleLimits): Step {
  const { old, told } = state;
  if (event.run !== old.run) return stay(state);
  if (event.timer === "drain-poll" && told === "to-drain")
    return { next: state, effects: [{ run: "count-connections", of: old }] };
  if (event.timer === "old-end" && told === "to-drain") return endOld(state, limits);
  if (event.timer !== "kill" || told === "to-drain") return stay(state);
  const kill: Effect = { run: "signal", of: old.run, signal: "SIGKILL" };
  return {
    next: { ...state, told: "killed" },
    effects: [kill, { run: "arm", of: old.run, timer: "kill", after: limits.killGrace }],
  };
}

function stopYielding(state: StateOf<"yielding">, event: EventOf<"stop">, now: Millis, limits: LifecycleLimits): Step {
  return stopServing([state.current, state.old], event, now, state.ledger, limits);
}

function drainYielding(state: StateOf<"yielding">, event: EventOf<"drain">, now: Millis): Step {
  return drainOnly([state.current, state.old], event.reason, now, state.ledger);
}

export const yielding: Row<"yielding"> = {
  live: stay,
  exited: oneLeft,
  "not-started": stay,
  restart: queueRestart,
  checked: stay,
  mended: stay,
  terminated,
  silent: stay,
  unfit: stay,
  stop: stopYielding,
  drain: drainYielding,
  connections: seen,
  timer: oldTimer,
};
