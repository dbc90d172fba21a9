import type { Millis } from "../../foundation/time.ts";
import { noteCrash } from "../crash-book.ts";
import { recover, recovered, startNow } from "./crash.ts";
import { drainAndStop, drainOnly, endEnvoys, finish } from "./ending.ts";
import { queueRestart, rememberDrain, serve } from "./ledger.ts";
import { underUs } from "./overlapping.ts";
import {
  after,
  type Effect,
  type EventOf,
  type LifecycleLimits,
  type Outcome,
  type Row,
  type StateOf,
  type Step,
  type Stop,
  stay,
  tell,
} from "./states.ts";

/* starting and waiting: nobody accepts connections; with kept sockets they wait in the kernel. */

function goLive(state: StateOf<"starting">, event: EventOf<"live">, now: Millis, limits: LifecycleLimits): Step {
  if (event.run !== state.current.run) return stay(state);
  const current = { ...state.current, liveAt: now };
  const ledger = { ...state.ledger, everLive: true, servesSince: now };
  const took = Math.round(now - current.startedAt);
  const effects: Effect[] = [
    tell("info", "Envoy is live", { epoch: current.epoch, tookMs: took }),
    { run: "serves", of: current },
    recovered(current, now),
  ];
  if (ledger.toDrain !== undefined) {
    const members = [current, ...(state.older === undefined ? [] : [state.older])] as const;
    return after(effects, drainOnly(members, ledger.toDrain, now, ledger));
  }
  const stoodIn = state.over === "kept-sockets";
  if (state.older !== undefined) return after(effects, yieldTo({ current, old: state.older, stoodIn, ledger }, limits));
  return after(effects, stoodIn ? underUs(current, now, ledger) : serve(current, ledger));
}

/** The older one ends what it has; then it goes. */
function yieldTo(state: Omit<StateOf<"yielding">, "is" | "told">, limits: LifecycleLimits): Step {
  const { old: older } = state;
  return {
    next: { is: "yielding", told: "to-drain", ...state },
    effects: [
      { run: "count-connections", of: older },
      { run: "arm", of: older.run, timer: "old-end", after: limits.parentShutdown },
    ],
  };
}

function died(state: StateOf<"starting">, event: EventOf<"exited">, now: Millis, limits: LifecycleLimits): Step {
  const { current, older, over, ledger } = state;
  if (event.run === older?.run) return { next: { ...state, older: undefined }, effects: [] };
  if (event.run !== current.run) return stay(state);
  const overKept = over === "kept-sockets";
  return recover({ dead: current, facts: event, older, wasNew: false, overKept }, now, ledger, limits);
}

/** Over kept sockets it may simply not be possible: then without them, at once. */
function notStarted(
  state: StateOf<"starting">,
  event: EventOf<"not-started">,
  now: Millis,
  limits: LifecycleLimits,
): Step {
  const { current, older, over, ledger } = state;
  if (event.run !== current.run) return stay(state);
  if (!ledger.everLive) return finish({ how: "not-started", epoch: current.epoch, error: event.error });
  const lineage = older === undefined ? current.lineage : ledger.lineages + 1;
  const plan = { epoch: 0, lineage, over: "nobody", using: "proven", cause: "crash" } as const;
  const said = tell("warn", "Cannot start Envoy", { epoch: current.epoch, error: event.error });
  if (over === "kept-sockets")
    return after([said, { run: "drop-sockets" }], startNow(plan, older, now, ledger, limits));
  const { book, patience } = noteCrash(ledger.book, { cause: "cannot-exec", at: now, ranFor: 0, jitter: 0 });
  if (patience.spent) {
    const because: Outcome = { how: "not-started", epoch: current.epoch, error: event.error };
    if (older === undefined) return after([said], finish(because));
    const stop: Stop = { reason: "Envoy cannot be started", drain: true, at: now, because };
    return after([said], drainAndStop([older], stop, now, { ...ledger, book }, limits));
  }
  // Nothing has run, so nothing may be tried again in the same turn.
  const wait = Math.max(patience.wait, 200);
  return {
    next: { is: "waiting", plan, older, ledger: { ...ledger, book } },
    effects: [said, { run: "arm", of: current.run, timer: "backoff", after: wait }],
  };
}

/** Nothing is served by it yet, so it needs no drain; an older one still has connections. */
function stop(state: StateOf<"starting">, event: EventOf<"stop">, now: Millis, limits: LifecycleLimits): Step {
  const { current, older, ledger } = state;
  const ask: Stop = { reason: event.reason, drain: event.drain && older !== undefined, at: now };
  if (older === undefined) return endEnvoys([current], { ...ask, drain: false }, ledger, limits);
  const kill: Effect = { run: "signal", of: current.run, signal: "SIGKILL" };
  if (!event.drain) return after([kill], endEnvoys([older, current], ask, ledger, limits));
  return after([kill], drainAndStop([older, current], ask, now, ledger, limits));
}

function letGo(state: StateOf<"starting">, event: EventOf<"timer">): Step {
  if (event.timer !== "let-go" || event.run !== state.current.run) return stay(state);
  return { next: state, effects: [{ run: "drop-sockets" }] };
}

export const starting: Row<"starting"> = {
  live: goLive,
  exited: died,
  "not-started": notStarted,
  restart: queueRestart,
  checked: stay,
  mended: stay,
  terminated: stay,
  silent: stay,
  unfit: stay,
  stop,
  drain: rememberDrain,
  connections: stay,
  timer: letGo,
};

function startWaiting(state: StateOf<"waiting">, event: EventOf<"timer">, now: Millis, limits: LifecycleLimits): Step {
  return event.timer === "backoff" ? startNow(state.plan, state.older, now, state.ledger, limits) : stay(state);
}

function olderDied(state: StateOf<"waiting">, event: EventOf<"exited">): Step {
  return event.run === state.older?.run ? { next: { ...state, older: undefined }, effects: [] } : stay(state);
}

function stopWaiting(state: StateOf<"waiting">, event: EventOf<"stop">, now: Millis, limits: LifecycleLimits): Step {
  const { older, ledger } = state;
  const ask: Stop = { reason: event.reason, drain: event.drain, at: now };
  if (older !== undefined)
    return event.drain ? drainAndStop([older], ask, now, ledger, limits) : endEnvoys([older], ask, ledger, limits);
  const ended = finish({ how: "stopped", reason: event.reason, forced: false, exit: undefined });
  return after([{ run: "drop-sockets" }], ended);
}

export const waiting: Row<"waiting"> = {
  live: stay,
  exited: olderDied,
  "not-started": stay,
  restart: queueRestart,
  checked: stay,
  mended: stay,
  terminated: stay,
  silent: stay,
  unfit: stay,
  stop: stopWaiting,
  drain: rememberDrain,
  connections: stay,
  timer: startWaiting,
};
