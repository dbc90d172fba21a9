import type { Millis } from "../../foundation/time.ts";
import { recover } from "./crash.ts";
import { drainOnly, stopServing } from "./ending.ts";
import { queueRestart, record, serve } from "./ledger.ts";
import {
  after,
  type Effect,
  type EpochRecord,
  type EventOf,
  type Ledger,
  type LifecycleLimits,
  type Row,
  type StateOf,
  type Step,
  stay,
  tell,
} from "./states.ts";
import { replaceHung } from "./swapping.ts";

/* overlap: the child serves, its parent has closed its listeners and ends what it has, or is dead and stood in for. */

/** Beyond --parent-shutdown-time-s the parent is hung. */
const GRACE: Millis = 5_000;
/** An exit of the parent this close to its time was asked for by the child. */
const ABOUT: Millis = 1_000;

/** An Envoy that adopted sockets from us tells its parent to end one second after LIVE. */
const STOOD_IN: Millis = 6_000;

/** It serves, and still asks its dead parent, which is us, until it says Terminate. */
export function underUs(current: EpochRecord, now: Millis, ledger: Ledger): Step {
  return {
    next: { is: "overlap", current, parent: undefined, until: now + STOOD_IN, ledger },
    effects: [{ run: "arm", of: current.run, timer: "parent-end", after: STOOD_IN }],
  };
}

function someoneDied(state: StateOf<"overlap">, event: EventOf<"exited">, now: Millis, limits: LifecycleLimits): Step {
  const { current, parent, ledger } = state;
  if (event.run === parent?.run) return parentDied(state, parent, event, now);
  if (event.run !== current.run) return stay(state);
  const older = parent === undefined ? undefined : { ...parent, adminLost: true };
  const death = { dead: current, facts: event, older, wasNew: parent !== undefined, overKept: false };
  return after([{ run: "end-stand-in" }], recover(death, now, ledger, limits));
}

/** In its time it was told by its child, which will not ask it again; before it the child must not notice. */
function parentDied(state: StateOf<"overlap">, parent: EpochRecord, event: EventOf<"exited">, now: Millis): Step {
  const { current, until } = state;
  const inTime = event.exit.how === "exited" && event.exit.code === 0 && now >= until - ABOUT;
  if (inTime) return settle(state, now);
  const left = Math.max(ABOUT, until - now) + GRACE;
  return {
    next: { ...state, parent: undefined },
    effects: [
      tell("warn", "The old Envoy died while it drained: we answer in its place", { epoch: parent.epoch }),
      { run: "stand-in", dead: parent, child: current },
      { run: "arm", of: current.run, timer: "parent-end", after: left },
    ],
  };
}

function settle(state: StateOf<"overlap">, now: Millis): Step {
  const { current, ledger } = state;
  const since = current.liveAt ?? now;
  const entry = { at: now, cause: current.cause, by: "overlap", outcome: "done", epoch: current.epoch } as const;
  const effects: Effect[] = [
    { run: "end-stand-in" },
    tell("info", "The new Envoy is alone", { epoch: current.epoch, overlapMs: Math.round(now - since) }),
    record({ ...entry, took: now - since, why: "" }),
  ];
  return after(effects, serve(current, ledger));
}

/** Said by a child that we stand in for as its parent. */
function terminated(state: StateOf<"overlap">, event: EventOf<"terminated">, now: Millis): Step {
  return state.parent === undefined && event.run === state.current.run ? settle(state, now) : stay(state);
}

/** The parent was told to end long ago. */
function parentEnd(state: StateOf<"overlap">, event: EventOf<"timer">, now: Millis): Step {
  if (event.timer !== "parent-end" || event.run !== state.current.run) return stay(state);
  return state.parent === undefined ? settle(state, now) : killParent(state, state.parent, "it did not end in time");
}

/**
 * A child whose admin is silent waits for an answer of a parent that hangs: there is no time limit in Envoy. Where we
 * answer in the parent's place, it hangs itself.
 */
function silent(state: StateOf<"overlap">, event: EventOf<"silent">, now: Millis, limits: LifecycleLimits): Step {
  const { current, parent } = state;
  if (event.run !== current.run) return stay(state);
  if (parent !== undefined) return killParent(state, parent, "it does not answer its child");
  return after([{ run: "end-stand-in" }], replaceHung(current, now, state.ledger, limits));
}

function killParent(state: StateOf<"overlap">, parent: EpochRecord, why: string): Step {
  return {
    next: state,
    effects: [
      tell("warn", "The old Envoy hangs and is killed", { epoch: parent.epoch, why }),
      { run: "signal", of: parent.run, signal: "SIGKILL" },
      { run: "arm", of: state.current.run, timer: "parent-end", after: GRACE },
    ],
  };
}

const members = ({ current, parent }: StateOf<"overlap">): readonly [EpochRecord, ...EpochRecord[]] =>
  parent === undefined ? [current] : [current, parent];

function stopOverlap(state: StateOf<"overlap">, event: EventOf<"stop">, now: Millis, limits: LifecycleLimits): Step {
  return stopServing(members(state), event, now, state.ledger, limits);
}

function drainOverlap(state: StateOf<"overlap">, event: EventOf<"drain">, now: Millis): Step {
  return drainOnly(members(state), event.reason, now, state.ledger);
}

export const overlap: Row<"overlap"> = {
  live: stay,
  exited: someoneDied,
  "not-started": stay,
  restart: queueRestart,
  checked: stay,
  mended: stay,
  terminated,
  silent,
  unfit: stay,
  stop: stopOverlap,
  drain: drainOverlap,
  connections: stay,
  timer: parentEnd,
};
