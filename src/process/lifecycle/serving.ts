import type { Millis } from "../../foundation/time.ts";
import { recover } from "./crash.ts";
import { drainOnly, stopServing } from "./ending.ts";
import { answer, check, enqueue, nextRecord, overtaken, queueRestart, record, serve, withoutQueue } from "./ledger.ts";
import {
  after,
  type Effect,
  type EventOf,
  type Found,
  type LifecycleLimits,
  type Row,
  type StateOf,
  type Step,
  stay,
  tell,
} from "./states.ts";
import { replaceHung, startTrial } from "./swapping.ts";

/* live and checking: one Envoy serves; a preflight touches nothing of it. */

function died(state: StateOf<"live">, event: EventOf<"exited">, now: Millis, limits: LifecycleLimits): Step {
  if (event.run !== state.current.run) return stay(state);
  const ledger = state.retry === undefined ? state.ledger : enqueue(state.ledger, state.retry);
  const death = { dead: state.current, facts: event, older: undefined, wasNew: false, overKept: false };
  return recover(death, now, ledger, limits);
}

/** A wish comes before the retry of an older one; both become one. */
function begin(state: StateOf<"live">, event: EventOf<"restart">): Step {
  const queued = enqueue(state.ledger, event.restart);
  return serve(state.current, state.retry === undefined ? queued : enqueue(queued, state.retry));
}

function retry(state: StateOf<"live">, event: EventOf<"timer">): Step {
  if (event.timer !== "retry" || state.retry === undefined) return stay(state);
  return check(state.current, state.retry, state.ledger);
}

function silent(state: StateOf<"live">, event: EventOf<"silent">, now: Millis, limits: LifecycleLimits): Step {
  const { current, ledger } = state;
  if (event.run !== current.run || current.adminLost) return stay(state);
  const queued = state.retry === undefined ? ledger : enqueue(ledger, state.retry);
  return replaceHung(current, now, queued, limits);
}

function stop(state: StateOf<"live">, event: EventOf<"stop">, now: Millis, limits: LifecycleLimits): Step {
  const answers = overtaken(withoutQueue(state.ledger), event.reason, state.retry);
  return after(answers, stopServing([state.current], event, now, state.ledger, limits));
}

function drain(state: StateOf<"live">, event: EventOf<"drain">, now: Millis): Step {
  const answers = overtaken(withoutQueue(state.ledger), event.reason, state.retry);
  return after(answers, drainOnly([state.current], event.reason, now, state.ledger));
}

export const live: Row<"live"> = {
  live: stay,
  exited: died,
  "not-started": stay,
  restart: begin,
  checked: stay,
  mended: stay,
  terminated: stay,
  silent,
  unfit: stay,
  stop,
  drain,
  connections: stay,
  timer: retry,
};

function checked(state: StateOf<"checking">, event: EventOf<"checked">, now: Millis, limits: LifecycleLimits): Step {
  const { found } = event;
  if (event.run !== state.current.run) return stay(state);
  if (found.is === "ready" && found.by === "hot-restart") return startChild(state, now, limits);
  if (found.is === "ready") {
    const said = tell("info", "A second Envoy is started beside this one", { because: found.because });
    return after([said], startTrial(state.current, state.restart, "prepared", now, state.ledger, limits));
  }
  return notBegun(state, found, now);
}

function startChild(state: StateOf<"checking">, now: Millis, limits: LifecycleLimits): Step {
  const { current, restart } = state;
  const { record: child, ledger } = nextRecord(state.ledger, now, {
    epoch: current.epoch + 1,
    lineage: current.lineage,
    cause: restart.cause,
  });
  return {
    next: { is: "initializing", current, child, restart, ledger },
    effects: [
      tell("info", "Hot restart begins", { epoch: child.epoch, cause: restart.cause }),
      { run: "start", of: child, over: "parent", using: "prepared" },
      { run: "await-live", of: child },
      { run: "arm", of: child.run, timer: "live", after: limits.liveWithin },
    ],
  };
}

function notBegun(
  { current, restart, ledger }: StateOf<"checking">,
  found: Exclude<Found, { is: "ready" }>,
  now: Millis,
): Step {
  const why = found.is === "refused" ? found.why : "nothing would be different";
  const by = restart.strategy === "swap" ? "swap" : "hot-restart";
  const entry = { at: now, cause: restart.cause, by, epoch: current.epoch, took: now - restart.since, why } as const;
  const effects: Effect[] = [
    found.is === "refused"
      ? tell("warn", "Restart refused; Envoy runs on unchanged", { cause: restart.cause, check: found.check, why })
      : tell("info", "No restart: nothing would be different", { cause: restart.cause }),
    record({ ...entry, outcome: found.is }),
    answer(restart, found.is === "refused" ? { is: "refused", why } : { is: "unchanged" }),
  ];
  return after(effects, serve(current, ledger));
}

/** The wish stays: it is tried with whatever serves then. */
function diedChecking(
  state: StateOf<"checking">,
  event: EventOf<"exited">,
  now: Millis,
  limits: LifecycleLimits,
): Step {
  if (event.run !== state.current.run) return stay(state);
  const death = { dead: state.current, facts: event, older: undefined, wasNew: false, overKept: false };
  return recover(death, now, enqueue(state.ledger, state.restart), limits);
}

function stopChecking(state: StateOf<"checking">, event: EventOf<"stop">, now: Millis, limits: LifecycleLimits): Step {
  const answers = overtaken(withoutQueue(state.ledger), event.reason, state.restart);
  return after(answers, stopServing([state.current], event, now, state.ledger, limits));
}

function drainChecking(state: StateOf<"checking">, event: EventOf<"drain">, now: Millis): Step {
  const answers = overtaken(withoutQueue(state.ledger), event.reason, state.restart);
  return after(answers, drainOnly([state.current], event.reason, now, state.ledger));
}

export const checking: Row<"checking"> = {
  live: stay,
  exited: diedChecking,
  "not-started": stay,
  restart: queueRestart,
  checked,
  mended: stay,
  terminated: stay,
  silent: stay,
  unfit: stay,
  stop: stopChecking,
  drain: drainChecking,
  connections: stay,
  timer: stay,
};
