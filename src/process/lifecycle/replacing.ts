import type { Millis } from "../../foundation/time.ts";
import { recover, startNow } from "./crash.ts";
import { drainOnly, finish, stopServing } from "./ending.ts";
import { answer, enqueue, overtaken, queueRestart, record, rememberDrain, serve, withoutQueue } from "./ledger.ts";
import {
  after,
  type Effect,
  type Ending,
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
import { startTrial } from "./swapping.ts";

/*
 * A hot restart: the child initializes while its parent serves (initializing), is killed when that does not work
 * (cancelling) and cleared away (mending), or takes over (overlap), which is one-way: the parent has closed its
 * listeners. A child that is to go gets SIGKILL and nothing else: on SIGTERM it would end its parent (hot-restart.md 0).
 */

const CANCEL_AGAIN: Millis = 1_000;
/** Beyond --parent-shutdown-time-s the parent is hung. */
const GRACE: Millis = 5_000;

function takeOver(state: StateOf<"initializing">, event: EventOf<"live">, now: Millis, limits: LifecycleLimits): Step {
  const { current: parent, child, restart } = state;
  if (event.run !== child.run) return stay(state);
  const current = { ...child, liveAt: now };
  const took = Math.round(now - child.startedAt);
  const entry = { at: now, cause: child.cause, epoch: child.epoch, took, why: "", outcome: "done" } as const;
  const done = { is: "restarted", by: "hot-restart", epoch: child.epoch, took } as const;
  const until = now + limits.parentShutdown;
  const ledger = restart === undefined ? { ...state.ledger, servesSince: now } : state.ledger;
  const next = { is: "overlap", current, parent, until, ledger } as const;
  const overlapping: Step = {
    next,
    effects: [
      tell("info", "The new Envoy serves; the old one drains", { epoch: child.epoch, tookMs: took }),
      { run: "serves", of: current },
      record({ ...entry, by: restart === undefined ? "crash" : "hot-restart" }),
      ...(restart === undefined ? [] : [answer(restart, done)]),
      { run: "arm", of: current.run, timer: "parent-end", after: limits.parentShutdown + GRACE },
    ],
  };
  if (ledger.toDrain === undefined) return overlapping;
  return after(overlapping.effects, drainOnly([current, parent], ledger.toDrain, now, ledger));
}

function childOrParentDied(
  state: StateOf<"initializing">,
  event: EventOf<"exited">,
  now: Millis,
  limits: LifecycleLimits,
): Step {
  const { current, child, restart, ledger } = state;
  // It was to take the place of one that died in the overlap: nobody accepts connections, so this is a crash too.
  if (event.run === child.run && restart === undefined)
    return recover({ dead: child, facts: event, older: current, wasNew: false, overKept: false }, now, ledger, limits);
  if (event.run === child.run) {
    const how = event.exit.how === "exited" ? `exit code ${event.exit.code}` : event.exit.signal;
    return mend(current, child, restart, `the new Envoy ended before it was live (${how})`, ledger);
  }
  if (event.run !== current.run) return stay(state);
  const loss = { record: current, exit: event };
  return cancel(child, undefined, restart, "its parent died", ledger, { loss });
}

/** SIGKILL to the child; what follows is decided when it is gone. */
function cancel(
  child: EpochRecord,
  current: EpochRecord | undefined,
  restart: Restart | undefined,
  why: string,
  ledger: Ledger,
  more: { readonly ending?: Ending; readonly loss?: StateOf<"cancelling">["loss"] } = {},
): Step {
  return {
    next: { is: "cancelling", current, child, restart, why, ending: more.ending, loss: more.loss, ledger },
    effects: [
      tell("warn", "The new Envoy is given up", { epoch: child.epoch, why }),
      { run: "signal", of: child.run, signal: "SIGKILL" },
      { run: "arm", of: child.run, timer: "kill-again", after: CANCEL_AGAIN },
    ],
  };
}

function mend(
  parent: EpochRecord,
  child: EpochRecord,
  restart: Restart | undefined,
  why: string,
  ledger: Ledger,
): Step {
  return {
    next: { is: "mending", current: parent, restart, why, ledger },
    effects: [
      tell("warn", "The old Envoy serves on", { epoch: parent.epoch, why }),
      { run: "mend", dead: child, parent },
    ],
  };
}

function notStarted(
  state: StateOf<"initializing">,
  event: EventOf<"not-started">,
  now: Millis,
  limits: LifecycleLimits,
) {
  if (event.run !== state.child.run) return stay(state);
  const { current, restart, ledger } = state;
  if (restart !== undefined) {
    const said = tell("warn", "No hot restart is possible: a swap follows", { because: event.error.message });
    return after([said], startTrial(current, restart, "prepared", now, ledger, limits));
  }
  const said = tell("warn", "Cannot start Envoy over the old one", { error: event.error });
  return after([said], startBeside(current, now, ledger, limits));
}

/** The old one has no listeners any more and hands nothing over: another lineage, which does not ask it. */
function startBeside(old: EpochRecord, now: Millis, ledger: Ledger, limits: LifecycleLimits): Step {
  const plan = { epoch: 0, lineage: ledger.lineages + 1, over: "nobody", using: "proven", cause: "crash" } as const;
  return startNow(plan, old, now, ledger, limits);
}

function tookTooLong(
  state: StateOf<"initializing">,
  event: EventOf<"timer">,
  _now: Millis,
  limits: LifecycleLimits,
): Step {
  if (event.timer !== "live" || event.run !== state.child.run) return stay(state);
  const why = `it was not live within ${Math.round(limits.liveWithin / 1_000)} s`;
  return cancel(state.child, state.current, state.restart, why, state.ledger);
}

function stopInitializing(state: StateOf<"initializing">, event: EventOf<"stop">): Step {
  const { current, child, restart, ledger } = state;
  const answers = overtaken(ledger, event.reason, restart);
  const ending = { stop: { reason: event.reason, drain: event.drain } };
  return after(answers, cancel(child, current, undefined, event.reason, withoutQueue(ledger), { ending }));
}

/** A child that takes the place of a dead one is the only one to accept connections: it goes on, and drains then. */
function drainInitializing(state: StateOf<"initializing">, event: EventOf<"drain">): Step {
  if (state.restart === undefined) return rememberDrain(state, event);
  const { current, child, restart, ledger } = state;
  const answers = overtaken(ledger, event.reason, restart);
  const ending = { stop: undefined };
  return after(answers, cancel(child, current, undefined, event.reason, withoutQueue(ledger), { ending }));
}

export const initializing: Row<"initializing"> = {
  live: takeOver,
  exited: childOrParentDied,
  "not-started": notStarted,
  restart: queueRestart,
  checked: stay,
  mended: stay,
  terminated: stay,
  silent: stay,
  unfit: stay,
  stop: stopInitializing,
  drain: drainInitializing,
  connections: stay,
  timer: tookTooLong,
};

function cancelled(state: StateOf<"cancelling">, event: EventOf<"exited">, now: Millis, limits: LifecycleLimits): Step {
  const { current, child, restart, why, ending, ledger } = state;
  if (event.run === current?.run)
    return { next: { ...state, current: undefined, loss: { record: current, exit: event } }, effects: [] };
  if (event.run !== child.run) return stay(state);
  if (current !== undefined && ending === undefined && restart === undefined)
    return startBeside(current, now, ledger, limits);
  if (current !== undefined && ending === undefined) return mend(current, child, restart, why, ledger);
  if (current !== undefined) return endAfterCancel(state, current, now, limits);
  return bothGone(state, event, now, limits);
}

/** Its admin may have gone to the child: whoever tells it finds out. */
function endAfterCancel(
  { child, ending, ledger }: StateOf<"cancelling">,
  current: EpochRecord,
  now: Millis,
  limits: LifecycleLimits,
): Step {
  const mended: Effect = { run: "mend", dead: child, parent: current };
  if (ending?.stop === undefined) return after([mended], drainOnly([current], "POST /drain", now, ledger));
  return after([mended], stopServing([current], ending.stop, now, ledger, limits));
}

/** The parent's death counts; its sockets, if they are kept, go to the same epoch that the child was. */
function bothGone(
  { loss, restart, ending, ledger }: StateOf<"cancelling">,
  event: EventOf<"exited">,
  now: Millis,
  limits: LifecycleLimits,
): Step {
  if (ending?.stop !== undefined || loss === undefined)
    return finish({ how: "stopped", reason: ending?.stop?.reason ?? "", forced: false, exit: event.exit });
  if (ending !== undefined)
    return finish({ how: "died", epoch: loss.record.epoch, beforeLive: false, exit: loss.exit.exit });
  const queued = restart === undefined ? ledger : enqueue(ledger, restart);
  const facts = { ...loss.exit, kept: event.kept };
  const death = { dead: loss.record, facts, older: undefined, wasNew: false, overKept: false };
  return recover(death, now, queued, limits);
}

function cancelAgain(state: StateOf<"cancelling">, event: EventOf<"timer">): Step {
  if (event.timer !== "kill-again" || event.run !== state.child.run) return stay(state);
  return {
    next: state,
    effects: [
      { run: "signal", of: state.child.run, signal: "SIGKILL" },
      { run: "arm", of: state.child.run, timer: "kill-again", after: CANCEL_AGAIN },
    ],
  };
}

/** The first reason wins; a stop makes an end of a drain. */
function stopCancelling(state: StateOf<"cancelling">, event: EventOf<"stop">): Step {
  const { restart, ledger, ending } = state;
  const again = ending?.stop !== undefined;
  const stop = again ? { reason: ending.stop.reason, drain: false } : { reason: event.reason, drain: event.drain };
  return {
    next: { ...state, restart: undefined, ending: { stop }, ledger: withoutQueue(ledger) },
    effects: overtaken(ledger, event.reason, restart),
  };
}

function drainCancelling(state: StateOf<"cancelling">, event: EventOf<"drain">): Step {
  if (state.ending !== undefined) return stay(state);
  return {
    next: { ...state, restart: undefined, ending: { stop: undefined }, ledger: withoutQueue(state.ledger) },
    effects: overtaken(state.ledger, event.reason, state.restart),
  };
}

export const cancelling: Row<"cancelling"> = {
  live: stay,
  exited: cancelled,
  "not-started": stay,
  restart: queueRestart,
  checked: stay,
  mended: stay,
  terminated: stay,
  silent: stay,
  unfit: stay,
  stop: stopCancelling,
  drain: drainCancelling,
  connections: stay,
  timer: cancelAgain,
};

/** The same epoch again after a while, a swap when the flag stays set, or the end of this restart. */
function mended(state: StateOf<"mending">, event: EventOf<"mended">, now: Millis, limits: LifecycleLimits): Step {
  const { restart, ledger, why } = state;
  if (event.run !== state.current.run) return stay(state);
  const current = { ...state.current, adminLost: event.adminLost };
  if (event.ok || restart === undefined) return failed(current, restart, why, now, ledger, limits);
  const said = tell("warn", "No other hot restart is possible: a swap follows", { because: event.why });
  return after([said], startTrial(current, restart, "prepared", now, ledger, limits));
}

function failed(
  current: EpochRecord,
  restart: Restart | undefined,
  why: string,
  now: Millis,
  ledger: Ledger,
  limits: LifecycleLimits,
): Step {
  if (restart === undefined) return serve(current, ledger);
  const attempt = restart.attempt + 1;
  if (attempt < limits.attempts) {
    const wait = limits.retryAfter * 2 ** restart.attempt;
    if (ledger.queue !== undefined) return serve(current, enqueue(ledger, restart));
    return {
      next: { is: "live", current, retry: { ...restart, attempt }, ledger },
      effects: [
        tell("info", "The restart is tried again after a while", { attempt, afterMs: wait }),
        { run: "arm", of: current.run, timer: "retry", after: wait },
      ],
    };
  }
  const entry = { at: now, cause: restart.cause, by: "hot-restart", outcome: "failed" } as const;
  const effects: Effect[] = [
    tell("warn", "The restart failed; the old Envoy serves on", { cause: restart.cause, why, attempts: attempt }),
    record({ ...entry, epoch: current.epoch, took: now - restart.since, why }),
    answer(restart, { is: "failed", why }),
  ];
  return after(effects, serve(current, ledger));
}

function diedMending(state: StateOf<"mending">, event: EventOf<"exited">, now: Millis, limits: LifecycleLimits): Step {
  const { current, restart, ledger } = state;
  if (event.run !== current.run) return stay(state);
  const queued = restart === undefined ? ledger : enqueue(ledger, restart);
  return recover(
    { dead: current, facts: event, older: undefined, wasNew: false, overKept: false },
    now,
    queued,
    limits,
  );
}

function stopMending(state: StateOf<"mending">, event: EventOf<"stop">, now: Millis, limits: LifecycleLimits): Step {
  const answers = overtaken(withoutQueue(state.ledger), event.reason, state.restart);
  return after(answers, stopServing([state.current], event, now, state.ledger, limits));
}

function drainMending(state: StateOf<"mending">, event: EventOf<"drain">, now: Millis): Step {
  const answers = overtaken(withoutQueue(state.ledger), event.reason, state.restart);
  return after(answers, drainOnly([state.current], event.reason, now, state.ledger));
}

export const mending: Row<"mending"> = {
  live: stay,
  exited: diedMending,
  "not-started": stay,
  restart: queueRestart,
  checked: stay,
  mended,
  terminated: stay,
  silent: stay,
  unfit: stay,
  stop: stopMending,
  drain: drainMending,
  connections: stay,
  timer: stay,
};
