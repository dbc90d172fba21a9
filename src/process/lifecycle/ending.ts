import type { Millis } from "../../foundation/time.ts";
import { drainEnd, keepsListening, planOf, planText } from "../drain-plan.ts";
import { overtaken, withoutQueue } from "./ledger.ts";
import {
  after,
  type Connections,
  type Effect,
  type EpochRecord,
  type EventOf,
  type Ledger,
  type LifecycleLimits,
  type Outcome,
  type Row,
  type StateOf,
  type Step,
  type Stop,
  stay,
  tell,
} from "./states.ts";

/*
 * The end: draining, stopping, gone. Several processes may be there; nothing is ever sent to a parent whose child
 * lives, because the child would die of its parent's death: the child is told, and it tells its parent.
 */

const DRAIN_POLL: Millis = 100;
/** SIGKILL needs no repetition unless Envoy hangs in the kernel: then it is said, and we leave. */
const KILL_AGAIN: Millis = 1_000;
const MOST_KILLS = 3;
const unknown: Connections = { active: undefined, calledLately: undefined };

export function finish(outcome: Outcome): Step {
  return { next: { is: "gone", outcome }, effects: [{ run: "finish", outcome }] };
}

/** Whether `one` is the hot-restart parent of one of `all`. */
export const hasChild = (one: EpochRecord, all: readonly EpochRecord[]): boolean =>
  all.some((other) => other.lineage === one.lineage && other.epoch === one.epoch + 1);

const whoMayBeTold = (all: readonly EpochRecord[]): readonly EpochRecord[] => all.filter((one) => !hasChild(one, all));

/** SIGTERM to whoever may get it, SIGKILL after the grace. */
export function endEnvoys(
  [current, ...others]: readonly [EpochRecord, ...EpochRecord[]],
  stop: Stop,
  ledger: Ledger,
  limits: LifecycleLimits,
): Step {
  const told = whoMayBeTold([current, ...others]);
  return {
    next: { is: "stopping", current, others, stop, kills: 0, ledger: withoutQueue(ledger) },
    effects: [
      ...overtaken(ledger, stop.reason),
      { run: "drop-sockets" },
      tell("info", "Ending Envoy", { epoch: current.epoch, reason: stop.reason }),
      ...told.map(({ run }): Effect => ({ run: "signal", of: run, signal: "SIGTERM" })),
      { run: "arm", of: current.run, timer: "kill", after: limits.killGrace },
    ],
  };
}

/** A stop of whoever serves: drain first, unless asked not to. */
export function stopServing(
  members: readonly [EpochRecord, ...EpochRecord[]],
  ask: { readonly reason: string; readonly drain: boolean },
  now: Millis,
  ledger: Ledger,
  limits: LifecycleLimits,
): Step {
  const stop: Stop = { reason: ask.reason, drain: ask.drain, at: now };
  return ask.drain ? drainAndStop(members, stop, now, ledger, limits) : endEnvoys(members, stop, ledger, limits);
}

export function drainAndStop(
  [current, ...others]: readonly [EpochRecord, ...EpochRecord[]],
  stop: Stop,
  now: Millis,
  ledger: Ledger,
  limits: LifecycleLimits,
): Step {
  const latest = drainEnd(stop, unknown, limits).latest - now;
  return {
    next: {
      is: "draining",
      current,
      others,
      stop,
      since: now,
      seen: unknown,
      active: {},
      ledger: withoutQueue(ledger),
    },
    effects: [
      ...overtaken(ledger, stop.reason),
      tell("info", "Draining", {
        epoch: current.epoch,
        reason: stop.reason,
        plan: planText(planOf(stop, unknown, limits), limits),
      }),
      ...drainEffects([current, ...others], keepsListening(limits)),
      ...countAll([current, ...others]),
      { run: "arm", of: current.run, timer: "drain-end", after: latest },
    ],
  };
}

export function drainOnly(
  [current, ...others]: readonly [EpochRecord, ...EpochRecord[]],
  reason: string,
  now: Millis,
  ledger: Ledger,
): Step {
  return {
    next: {
      is: "draining",
      current,
      others,
      stop: undefined,
      since: now,
      seen: unknown,
      active: {},
      ledger: withoutQueue(ledger),
    },
    effects: [
      ...overtaken(ledger, reason),
      tell("info", "Draining until told to stop", { epoch: current.epoch, reason }),
      ...drainEffects([current, ...others], true),
      ...countAll([current, ...others]),
    ],
  };
}

/** Kept sockets go first: whoever is not accepted any more must be refused, not left waiting. */
function drainEffects(members: readonly EpochRecord[], skipExit: boolean): readonly Effect[] {
  return [
    { run: "drop-sockets" },
    ...whoServes(members).map((of): Effect => ({ run: "drain-listeners", of, skipExit, atOnce: false })),
  ];
}

/** Those that have connections and an admin of their own; a child counts its parent's with its own. */
const whoServes = (members: readonly EpochRecord[]): readonly EpochRecord[] =>
  whoMayBeTold(members).filter(({ liveAt }) => liveAt !== undefined);

const countAll = (members: readonly EpochRecord[]): readonly Effect[] =>
  whoServes(members).map((of) => ({ run: "count-connections", of }));

/** Of all together. One that does not say counts for nothing while others have some: it cannot be waited for alone. */
function sumOf(members: readonly EpochRecord[], active: StateOf<"draining">["active"]): number | undefined {
  const counts = whoServes(members).map(({ run }) => active[run]);
  const known = counts.reduce<number>((sum, one) => sum + (one ?? 0), 0);
  return known === 0 && counts.includes(undefined) ? undefined : known;
}

/** A stop after POST /drain goes on with that drain's clock; a second stop ends the drain at once. */
function stopDraining(state: StateOf<"draining">, event: EventOf<"stop">, now: Millis, limits: LifecycleLimits): Step {
  if (state.stop !== undefined || !event.drain) {
    const stop: Stop = {
      ...(state.stop ?? { reason: event.reason }),
      drain: false,
      // The pod's grace period goes on counting from there.
      at: state.since,
    };
    return endEnvoys([state.current, ...state.others], stop, state.ledger, limits);
  }
  const stop: Stop = { reason: event.reason, drain: true, at: state.since };
  const { latest } = drainEnd(stop, state.seen, limits);
  const judged = judgeDrain({ ...state, stop }, now, limits);
  const arm: Effect = { run: "arm", of: state.current.run, timer: "drain-end", after: Math.max(0, latest - now) };
  const plan = planText(planOf(stop, state.seen, limits), limits);
  const said = tell("info", "Stopping after the drain", { epoch: state.current.epoch, reason: stop.reason, plan });
  // Also when nobody is left and the drain is over with that: whoever reads finds the same lines every time.
  const over = judged.next.is !== "draining";
  return { next: judged.next, effects: [said, ...judged.effects, ...(over ? [] : [arm])] };
}

function learn(state: StateOf<"draining">, event: EventOf<"connections">, now: Millis, limits: LifecycleLimits): Step {
  const members = [state.current, ...state.others];
  if (!members.some(({ run }) => run === event.run)) return stay(state);
  // Whether somebody called lately is settled by the first answer: our own drain ends connections.
  const heard = event.run === state.current.run ? event.seen.calledLately : undefined;
  const calledLately = state.seen.calledLately ?? heard;
  const counts = { ...state.active, [event.run]: event.seen.active };
  const active = sumOf(members, counts);
  const blindSince = active === undefined ? (state.seen.blindSince ?? now) : undefined;
  return judgeDrain({ ...state, active: counts, seen: { active, calledLately, blindSince } }, now, limits);
}

/** The drain is over when the plan says so; otherwise look again soon. */
function judgeDrain(state: StateOf<"draining">, now: Millis, limits: LifecycleLimits): Step {
  const { run, epoch } = state.current;
  const again: Effect = { run: "arm", of: run, timer: "drain-poll", after: DRAIN_POLL };
  if (state.stop === undefined) return { next: state, effects: [again] };
  const end = drainEnd(state.stop, state.seen, limits);
  const idle = state.seen.active === 0 && now >= end.earliest;
  if (!idle && now < end.latest) return { next: state, effects: [again] };
  const why = idle ? "no connection is left" : "the time for draining is over";
  const facts = { epoch, tookMs: Math.round(now - state.since), connections: state.seen.active ?? "unknown" };
  const ended = endEnvoys([state.current, ...state.others], state.stop, state.ledger, limits);
  return after([tell("info", `Drained: ${why}`, facts)], ended);
}

function drainTimer(state: StateOf<"draining">, event: EventOf<"timer">, now: Millis, limits: LifecycleLimits): Step {
  // Both stand whoever they were armed for.
  if (event.timer === "drain-end") return judgeDrain(state, now, limits);
  if (event.timer !== "drain-poll") return stay(state);
  return { next: state, effects: countAll([state.current, ...state.others]) };
}

/** What is left when one of several has ended; a dead parent is stood in for as long as its child lives. */
export function without(
  members: readonly EpochRecord[],
  run: number,
): { readonly gone: EpochRecord | undefined; readonly left: readonly EpochRecord[]; readonly effects: Effect[] } {
  const gone = members.find((one) => one.run === run);
  const left = members.filter((one) => one.run !== run);
  const child = left.find((one) => gone?.lineage === one.lineage && one.epoch === gone.epoch + 1);
  const effects: Effect[] = gone === undefined || child === undefined ? [] : [{ run: "stand-in", dead: gone, child }];
  return { gone, left, effects };
}

function diedDraining(state: StateOf<"draining">, event: EventOf<"exited">): Step {
  const { gone, left, effects } = without([state.current, ...state.others], event.run);
  if (gone === undefined) return stay(state);
  const [current, ...others] = left;
  if (current !== undefined) {
    return { next: { ...state, current, others }, effects: [...effects, ...countAll(left)] };
  }
  if (state.stop !== undefined) return finish(endOf(state.stop, event, false));
  return event.exit.how === "exited" && event.exit.code === 0
    ? finish({ how: "asked-envoy", epoch: gone.epoch })
    : finish({ how: "died", epoch: gone.epoch, beforeLive: false, exit: event.exit });
}

const endOf = (stop: Stop, event: EventOf<"exited"> | undefined, forced: boolean): Outcome =>
  stop.because ?? { how: "stopped", reason: stop.reason, forced, exit: event?.exit };

/** A parent whose child has ended is told itself. */
function ended(state: StateOf<"stopping">, event: EventOf<"exited">): Step {
  const all = [state.current, ...state.others];
  const { gone, left, effects } = without(all, event.run);
  if (gone === undefined) return stay(state);
  const [current, ...others] = left;
  if (current === undefined) return finish(endOf(state.stop, event, state.kills > 0));
  const told = new Set(whoMayBeTold(all).map((one) => one.run));
  const signal = state.kills > 0 ? "SIGKILL" : "SIGTERM";
  const now = whoMayBeTold(left).filter((one) => !told.has(one.run));
  return {
    next: { ...state, current, others },
    effects: [...effects, ...now.map(({ run }): Effect => ({ run: "signal", of: run, signal }))],
  };
}

function force(state: StateOf<"stopping">): Step {
  const { epoch, run } = state.current;
  if (state.kills >= MOST_KILLS) {
    const given = finish(endOf(state.stop, undefined, true));
    return after([tell("warn", "Envoy does not die", { epoch })], given);
  }
  // Newest first: a parent that goes first would leave its child in the middle of a question.
  const kills = [state.current, ...state.others].map(
    (one): Effect => ({ run: "signal", of: one.run, signal: "SIGKILL" }),
  );
  return {
    next: { ...state, kills: state.kills + 1 },
    effects: [
      tell("warn", "Killing Envoy", { epoch }),
      ...kills,
      { run: "arm", of: run, timer: "kill-again", after: KILL_AGAIN },
    ],
  };
}

function killTimer(state: StateOf<"stopping">, event: EventOf<"timer">): Step {
  // A "kill-again" may be left from a child that was given up before.
  const due = event.timer === "kill" ? state.kills === 0 : event.timer === "kill-again" && state.kills > 0;
  return due ? force(state) : stay(state);
}

/** A stop while stopping means now. */
const stopHarder = (state: StateOf<"stopping">): Step => (state.kills === 0 ? force(state) : stay(state));

function tooLate(state: StateOf<"draining"> | StateOf<"stopping">, event: EventOf<"restart">): Step {
  const why = state.stop?.reason ?? "POST /drain";
  return { next: state, effects: overtaken({ ...state.ledger, queue: event.restart }, why) };
}

const goneTooLate = (state: StateOf<"gone">, event: EventOf<"restart">): Step => ({
  next: state,
  effects: [{ run: "answer", ids: event.restart.ids, outcome: { is: "overtaken", why: "Envoy has ended" } }],
});

export const draining: Row<"draining"> = {
  live: stay,
  exited: diedDraining,
  "not-started": stay,
  restart: tooLate,
  checked: stay,
  mended: stay,
  terminated: stay,
  silent: stay,
  unfit: stay,
  stop: stopDraining,
  drain: stay,
  connections: learn,
  timer: drainTimer,
};

export const stopping: Row<"stopping"> = {
  live: stay,
  exited: ended,
  "not-started": stay,
  restart: tooLate,
  checked: stay,
  mended: stay,
  terminated: stay,
  silent: stay,
  unfit: stay,
  stop: stopHarder,
  drain: stay,
  connections: stay,
  timer: killTimer,
};

export const gone: Row<"gone"> = {
  live: stay,
  exited: stay,
  "not-started": stay,
  restart: goneTooLate,
  checked: stay,
  mended: stay,
  terminated: stay,
  silent: stay,
  unfit: stay,
  stop: stay,
  drain: stay,
  connections: stay,
  timer: stay,
};
