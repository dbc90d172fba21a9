import type { Millis } from "../foundation/time.ts";
import type { ExitReport } from "../system/programs.ts";
import { type DrainLimits, drainEnd, keepsListening, planOf, planText, type StopAsk } from "./drain-plan.ts";

/*
 * The life of Envoy, as a pure machine: a state and an event give the next state and a list of effects; one driver
 * (envoy-supervisor.ts) carries them out. Nothing here waits, reads a clock or touches a process.
 *
 *   starting   Envoy of this epoch was exec'ed; its admin has not said LIVE for this epoch yet.
 *   live       It serves.
 *   draining   Listeners were told to drain. Either we were asked to stop (`stop` is there), or only to drain
 *              (POST /drain, a native sidecar's preStop) and the stop comes later.
 *   stopping   SIGTERM was sent to Envoy; SIGKILL follows after a grace, and again.
 *   gone       No Envoy is there and none will come. Final.
 *
 * The ways to end, and what stands behind them in Kubernetes:
 *   1. SIGTERM or SIGINT (the kubelet, a person): drain, then stop. The first reason wins and is the one reported.
 *   2. A second SIGTERM/SIGINT: no more drain; a third: SIGKILL.
 *   3. POST /quitquitquit on our own port (Jobs): no drain.
 *   4. Envoy exits with 0: somebody asked it through its admin's /quitquitquit. Counts as asked.
 *   5. Envoy dies (exit code, signal): reported truthfully, exit code 1, so that the kubelet sees a crash.
 *   6. Envoy cannot be started at all.
 *
 * Timers carry the epoch and a name; one that fires late meets a cell that ignores it. Epochs are numbers everywhere:
 * a state may hold more than one process, and every process is known by its epoch.
 */

/** One Envoy process. */
export interface EpochRecord {
  readonly epoch: number;
  readonly startedAt: Millis;
  readonly liveAt: Millis | undefined;
}

export interface Stop extends StopAsk {
  /** In words, for the log and the post-mortem: "SIGTERM", "POST /quitquitquit". */
  readonly reason: string;
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

export type TimerName = "drain-poll" | "drain-end" | "kill" | "kill-again";

export type LifecycleState =
  | { readonly is: "starting"; readonly current: EpochRecord }
  | { readonly is: "live"; readonly current: EpochRecord }
  | {
      readonly is: "draining";
      readonly current: EpochRecord;
      /** Undefined after POST /drain: drain only, the stop comes later. */
      readonly stop: Stop | undefined;
      readonly since: Millis;
      readonly seen: Connections;
    }
  | { readonly is: "stopping"; readonly current: EpochRecord; readonly stop: Stop; readonly kills: number }
  | { readonly is: "gone"; readonly outcome: Outcome };

export type LifecycleEvent =
  /** Envoy's admin said LIVE, and that it is this epoch. */
  | { readonly on: "live"; readonly epoch: number }
  | { readonly on: "exited"; readonly epoch: number; readonly exit: ExitReport }
  | { readonly on: "not-started"; readonly epoch: number; readonly error: Error }
  | { readonly on: "stop"; readonly reason: string; readonly drain: boolean }
  | { readonly on: "drain"; readonly reason: string }
  | { readonly on: "connections"; readonly epoch: number; readonly seen: Connections }
  | { readonly on: "timer"; readonly epoch: number; readonly timer: TimerName };

export type Effect =
  | { readonly run: "start"; readonly epoch: number }
  /** Ask the admin until it says LIVE for this epoch; posts "live". */
  | { readonly run: "await-live"; readonly epoch: number }
  | { readonly run: "drain-listeners"; readonly epoch: number; readonly skipExit: boolean }
  /** Ask for the connections once; posts "connections". */
  | { readonly run: "count-connections"; readonly epoch: number }
  | { readonly run: "signal"; readonly epoch: number; readonly signal: "SIGTERM" | "SIGKILL" }
  | { readonly run: "arm"; readonly epoch: number; readonly timer: TimerName; readonly after: Millis }
  | { readonly run: "tell"; readonly level: "info" | "warn"; readonly text: string; readonly facts: Facts }
  | { readonly run: "finish"; readonly outcome: Outcome };

type Facts = Readonly<Record<string, unknown>>;

export interface Step {
  readonly next: LifecycleState;
  readonly effects: readonly Effect[];
}

export interface LifecycleLimits extends DrainLimits {
  /** From SIGTERM to SIGKILL. */
  readonly killGrace: Millis;
}

type StateOf<S extends LifecycleState["is"]> = Extract<LifecycleState, { is: S }>;
type EventOf<E extends LifecycleEvent["on"]> = Extract<LifecycleEvent, { on: E }>;
type Cell<S extends LifecycleState["is"], E extends LifecycleEvent["on"]> = (
  state: StateOf<S>,
  event: EventOf<E>,
  now: Millis,
  limits: LifecycleLimits,
) => Step;

type Transitions = {
  readonly [S in LifecycleState["is"]]: { readonly [E in LifecycleEvent["on"]]: Cell<S, E> };
};

const DRAIN_POLL: Millis = 100;
/** SIGKILL needs no repetition unless Envoy hangs in the kernel: then it is said, and we leave. */
const KILL_AGAIN: Millis = 1_000;
const MOST_KILLS = 3;

const stay = (state: LifecycleState): Step => ({ next: state, effects: [] });
const tell = (level: "info" | "warn", text: string, facts: Facts = {}): Effect => ({ run: "tell", level, text, facts });

function goLive(state: StateOf<"starting">, event: EventOf<"live">, now: Millis): Step {
  if (event.epoch !== state.current.epoch) return stay(state);
  const current = { ...state.current, liveAt: now };
  const took = Math.round(now - current.startedAt);
  return {
    next: { is: "live", current },
    effects: [tell("info", "Envoy is live", { epoch: current.epoch, tookMs: took })],
  };
}

function finish(outcome: Outcome): Step {
  return { next: { is: "gone", outcome }, effects: [{ run: "finish", outcome }] };
}

function diedAlone(state: StateOf<"starting"> | StateOf<"live">, event: EventOf<"exited">): Step {
  const { epoch } = state.current;
  if (event.epoch !== epoch) return stay(state);
  if (event.exit.how === "exited" && event.exit.code === 0) return finish({ how: "asked-envoy", epoch });
  return finish({ how: "died", epoch, beforeLive: state.is === "starting", exit: event.exit });
}

function couldNotStart(state: StateOf<"starting">, event: EventOf<"not-started">): Step {
  return event.epoch === state.current.epoch
    ? finish({ how: "not-started", epoch: event.epoch, error: event.error })
    : stay(state);
}

/** Nothing was served yet, so there is nothing to drain. */
function stopStarting(state: StateOf<"starting">, event: EventOf<"stop">, now: Millis, limits: LifecycleLimits): Step {
  return endEnvoy(state.current, { reason: event.reason, drain: false, at: now }, limits);
}

function endEnvoy(current: EpochRecord, stop: Stop, limits: LifecycleLimits): Step {
  return {
    next: { is: "stopping", current, stop, kills: 0 },
    effects: [
      tell("info", "Ending Envoy", { epoch: current.epoch, reason: stop.reason }),
      { run: "signal", epoch: current.epoch, signal: "SIGTERM" },
      { run: "arm", epoch: current.epoch, timer: "kill", after: limits.killGrace },
    ],
  };
}

const unknown: Connections = { active: undefined, calledLately: undefined };

function stopLive(state: StateOf<"live">, event: EventOf<"stop">, now: Millis, limits: LifecycleLimits): Step {
  const { current } = state;
  const stop: Stop = { reason: event.reason, drain: event.drain, at: now };
  if (!event.drain) return endEnvoy(current, stop, limits);
  return {
    next: { is: "draining", current, stop, since: now, seen: unknown },
    effects: [
      tell("info", "Draining", {
        epoch: current.epoch,
        reason: stop.reason,
        plan: planText(planOf(stop, unknown, limits), limits),
      }),
      { run: "drain-listeners", epoch: current.epoch, skipExit: keepsListening(limits) },
      { run: "count-connections", epoch: current.epoch },
      { run: "arm", epoch: current.epoch, timer: "drain-end", after: drainEnd(stop, unknown, limits).latest - now },
    ],
  };
}

function drainOnly(state: StateOf<"live">, event: EventOf<"drain">, now: Millis): Step {
  return {
    next: { is: "draining", current: state.current, stop: undefined, since: now, seen: unknown },
    effects: [
      tell("info", "Draining until told to stop", { epoch: state.current.epoch, reason: event.reason }),
      { run: "drain-listeners", epoch: state.current.epoch, skipExit: true },
      { run: "count-connections", epoch: state.current.epoch },
    ],
  };
}

/** A stop after POST /drain goes on with that drain's clock; a second stop ends the drain at once. */
function stopDraining(state: StateOf<"draining">, event: EventOf<"stop">, now: Millis, limits: LifecycleLimits): Step {
  if (state.stop !== undefined || !event.drain) {
    const reason = state.stop?.reason ?? event.reason;
    return endEnvoy(state.current, { reason, drain: false, at: now }, limits);
  }
  const stop: Stop = { reason: event.reason, drain: true, at: state.since };
  const waiting: StateOf<"draining"> = { ...state, stop };
  const { latest } = drainEnd(stop, state.seen, limits);
  const judged = judgeDrain(waiting, now, limits);
  if (judged.next.is !== "draining") return judged;
  return {
    next: judged.next,
    effects: [
      tell("info", "Stopping after the drain", {
        epoch: state.current.epoch,
        reason: stop.reason,
        plan: planText(planOf(stop, state.seen, limits), limits),
      }),
      ...judged.effects,
      { run: "arm", epoch: state.current.epoch, timer: "drain-end", after: Math.max(0, latest - now) },
    ],
  };
}

function learn(state: StateOf<"draining">, event: EventOf<"connections">, now: Millis, limits: LifecycleLimits): Step {
  if (event.epoch !== state.current.epoch) return stay(state);
  // Whether somebody called lately is settled by the first answer: our own drain ends connections.
  const calledLately = state.seen.calledLately ?? event.seen.calledLately;
  const { active } = event.seen;
  const blindSince = active === undefined ? (state.seen.blindSince ?? now) : undefined;
  const next: StateOf<"draining"> = { ...state, seen: { active, calledLately, blindSince } };
  return judgeDrain(next, now, limits);
}

/** The drain is over when the plan says so; otherwise look again soon. */
function judgeDrain(state: StateOf<"draining">, now: Millis, limits: LifecycleLimits): Step {
  const { epoch } = state.current;
  const again: Effect = { run: "arm", epoch, timer: "drain-poll", after: DRAIN_POLL };
  if (state.stop === undefined) return { next: state, effects: [again] };
  const end = drainEnd(state.stop, state.seen, limits);
  const idle = state.seen.active === 0 && now >= end.earliest;
  if (!idle && now < end.latest) return { next: state, effects: [again] };
  const ended = endEnvoy(state.current, state.stop, limits);
  const why = idle ? "no connection is left" : "the time for draining is over";
  const facts = { epoch, tookMs: Math.round(now - state.since), connections: state.seen.active ?? "unknown" };
  return { next: ended.next, effects: [tell("info", `Drained: ${why}`, facts), ...ended.effects] };
}

function drainTimer(state: StateOf<"draining">, event: EventOf<"timer">, now: Millis, limits: LifecycleLimits): Step {
  if (event.epoch !== state.current.epoch) return stay(state);
  if (event.timer === "drain-poll") return { next: state, effects: [{ run: "count-connections", epoch: event.epoch }] };
  return event.timer === "drain-end" ? judgeDrain(state, now, limits) : stay(state);
}

function diedDraining(state: StateOf<"draining">, event: EventOf<"exited">): Step {
  if (event.epoch !== state.current.epoch) return stay(state);
  if (state.stop !== undefined)
    return finish({ how: "stopped", reason: state.stop.reason, forced: false, exit: event.exit });
  return event.exit.how === "exited" && event.exit.code === 0
    ? finish({ how: "asked-envoy", epoch: event.epoch })
    : finish({ how: "died", epoch: event.epoch, beforeLive: false, exit: event.exit });
}

function ended(state: StateOf<"stopping">, event: EventOf<"exited">): Step {
  if (event.epoch !== state.current.epoch) return stay(state);
  return finish({ how: "stopped", reason: state.stop.reason, forced: state.kills > 0, exit: event.exit });
}

function force(state: StateOf<"stopping">): Step {
  const { epoch } = state.current;
  if (state.kills >= MOST_KILLS) {
    const given = finish({ how: "stopped", reason: state.stop.reason, forced: true, exit: undefined });
    return { next: given.next, effects: [tell("warn", "Envoy does not die", { epoch }), ...given.effects] };
  }
  return {
    next: { ...state, kills: state.kills + 1 },
    effects: [
      tell("warn", "Killing Envoy", { epoch }),
      { run: "signal", epoch, signal: "SIGKILL" },
      { run: "arm", epoch, timer: "kill-again", after: KILL_AGAIN },
    ],
  };
}

function killTimer(state: StateOf<"stopping">, event: EventOf<"timer">): Step {
  const due = event.timer === "kill" ? state.kills === 0 : event.timer === "kill-again";
  return event.epoch === state.current.epoch && due ? force(state) : stay(state);
}

/** A stop while stopping means now. */
const stopHarder = (state: StateOf<"stopping">): Step => (state.kills === 0 ? force(state) : stay(state));

const transitions: Transitions = {
  starting: {
    live: goLive,
    exited: diedAlone,
    "not-started": couldNotStart,
    stop: stopStarting,
    drain: stay,
    connections: stay,
    timer: stay,
  },
  live: {
    live: stay,
    exited: diedAlone,
    "not-started": stay,
    stop: stopLive,
    drain: drainOnly,
    connections: stay,
    timer: stay,
  },
  draining: {
    live: stay,
    exited: diedDraining,
    "not-started": stay,
    stop: stopDraining,
    drain: stay,
    connections: learn,
    timer: drainTimer,
  },
  stopping: {
    live: stay,
    exited: ended,
    "not-started": stay,
    stop: stopHarder,
    drain: stay,
    connections: stay,
    timer: killTimer,
  },
  gone: {
    live: stay,
    exited: stay,
    "not-started": stay,
    stop: stay,
    drain: stay,
    connections: stay,
    timer: stay,
  },
};

/** The first step of a life: exec epoch 0. */
export function begin(now: Millis): Step {
  return {
    next: { is: "starting", current: { epoch: 0, startedAt: now, liveAt: undefined } },
    effects: [
      { run: "start", epoch: 0 },
      { run: "await-live", epoch: 0 },
    ],
  };
}

/** One event. Same input, same output; never throws. */
export function step(state: LifecycleState, event: LifecycleEvent, now: Millis, limits: LifecycleLimits): Step {
  // The table's type guarantees that this cell takes this state and this event; TypeScript cannot follow the pairing.
  const cell = transitions[state.is][event.on] as Cell<LifecycleState["is"], LifecycleEvent["on"]>;
  return cell(state as never, event as never, now, limits);
}

/** Names of the cells by state and event, for docs/architecture.md. */
export const lifecycleTable: Readonly<Record<string, Readonly<Record<string, string>>>> = Object.fromEntries(
  Object.entries(transitions).map(([state, row]) => [
    state,
    Object.fromEntries(Object.entries(row).map(([event, cell]) => [event, cell.name])),
  ]),
);
