import type { Over, TimerName } from "../../src/process/lifecycle/states.ts";
import type { EpochRecord, LifecycleState } from "../../src/process/lifecycle.ts";
import type { Proc, World } from "./lifecycle-world.ts";

/* The laws of the machine, as questions to the world: undefined when all is well, else what is wrong. */

const alive = (world: World): readonly Proc[] => [...world.procs.values()];

/** Whoever is started, over whom. */
export function lawOfStart(world: World, of: EpochRecord, over: Over): string | undefined {
  if (world.stopReason !== undefined) return "an Envoy is started after a stop";
  const lineage = alive(world).filter((one) => one.record.lineage === of.lineage);
  if (alive(world).some((one) => !one.live && one.told !== "SIGKILL")) return "a second one is started meanwhile";
  if (over === "nobody") {
    if (of.epoch !== 0) return `epoch ${of.epoch} over nobody`;
    if (lineage.length > 0) return "epoch 0 in a lineage where somebody lives";
    return world.kept ? "epoch 0 beside kept sockets: callers would hang" : undefined;
  }
  const committed = world.committed.get(of.lineage) ?? -1;
  if (over === "kept-sockets") {
    if (!world.kept) return "over kept sockets, and there are none";
    if (of.epoch !== committed + 1) return `epoch ${of.epoch} over kept sockets of ${committed}`;
    return lineage.some((one) => one.record.epoch >= committed) ? "stands in for one that lives" : undefined;
  }
  const parent = lineage.find((one) => one.record.epoch === of.epoch - 1);
  if (parent === undefined) return `epoch ${of.epoch} over a dead parent`;
  if (lineage.some((one) => one.record.epoch >= of.epoch)) return "two children";
  return lineage.some((one) => one.record.epoch < of.epoch - 1) ? "a child while the grandparent drains" : undefined;
}

/** A child of it that lives and was not killed: it would die of what happens to its parent. */
const childOf = (world: World, proc: Proc): Proc | undefined =>
  alive(world).find((one) => one.parent === proc.record.run && one.told !== "SIGKILL");

export function lawOfSignal(
  world: World,
  proc: Proc,
  signal: "SIGTERM" | "SIGKILL",
  before: LifecycleState | undefined,
): string | undefined {
  const child = childOf(world, proc);
  if (signal === "SIGTERM") {
    if (world.kept && world.state.is === "stopping") return "SIGTERM while sockets are kept";
    const initializes = !proc.live && proc.parent !== undefined && world.procs.has(proc.parent);
    if (initializes) return "SIGTERM to a child that initializes: it would end its parent";
    return child === undefined ? undefined : "SIGTERM to a parent with a child";
  }
  if (child === undefined) return undefined;
  return before?.is === "overlap" ? undefined : "SIGKILL to a parent with a child, outside of an overlap";
}

/** What must hold after every event. */
export function brokenLaws(world: World): string | undefined {
  // Whoever stands in listens, and that costs.
  if (world.state.is === "live" && world.standIn !== undefined) return "somebody is stood in for, and nobody needs it";
  return lawOfRecords(world) ?? lawOfWishes(world) ?? lawOfWaiting(world) ?? lawOfTheEnd(world);
}

/** All records of processes in a state. */
export function recordsIn(state: LifecycleState): readonly EpochRecord[] {
  const named = ["current", "older", "child", "parent", "fresh", "old"] as const;
  const fields = state as unknown as Readonly<Record<string, EpochRecord | undefined>>;
  const one = named.flatMap((name) => fields[name] ?? []);
  return "others" in state ? [...one, ...state.others] : one;
}

function lawOfRecords(world: World): string | undefined {
  if (world.state.is === "gone") return undefined;
  const known = recordsIn(world.state).map((one) => one.run);
  const there = [...world.procs.keys()];
  const text = (runs: readonly number[]): string => [...runs].sort((a, b) => a - b).join();
  return text(known) === text(there) ? undefined : `the state knows of runs ${text(known)}, alive are ${text(there)}`;
}

/** Every wish without an answer stands somewhere in the state, once. */
function lawOfWishes(world: World): string | undefined {
  const { state } = world;
  const waiting = [
    "restart" in state ? state.restart : undefined,
    "retry" in state ? state.retry : undefined,
    "ledger" in state ? state.ledger.queue : undefined,
  ].flatMap((one) => one?.ids ?? []);
  const text = (ids: Iterable<number>): string => [...ids].sort((a, b) => a - b).join();
  return text(waiting) === text(world.open)
    ? undefined
    : `wishes ${text(world.open)} have no answer, the state knows of ${text(waiting)}`;
}

/** Where something is waited for, something will come. */
function lawOfWaiting(world: World): string | undefined {
  const { state } = world;
  const armed = (timer: TimerName, run?: number): string | undefined => {
    const found = world.timers.get(timer);
    return found !== undefined && (run === undefined || found.of === run) ? undefined : `${state.is} without ${timer}`;
  };
  const asked = (about: string, run: number): string | undefined =>
    world.questions.some((one) => one.about === about && one.run === run) ? undefined : `${state.is}, nothing asked`;
  switch (state.is) {
    case "starting":
      return world.procs.get(state.current.run)?.watched === true ? undefined : "nobody looks whether it is live";
    case "live":
      return state.retry === undefined ? undefined : armed("retry", state.current.run);
    case "checking":
      return asked("check", state.current.run);
    case "initializing":
      return armed("live", state.child.run);
    case "cancelling":
      return armed("kill-again", state.child.run);
    case "mending":
      return asked("mend", state.current.run);
    case "overlap":
      return armed("parent-end", state.current.run);
    case "waiting":
      return armed("backoff");
    case "trial":
      if (state.failed !== undefined) return armed("kill", state.fresh.run);
      return armed(state.fresh.liveAt === undefined ? "live" : "probation", state.fresh.run);
    case "yielding":
      return armed(state.told === "to-drain" ? "old-end" : "kill", state.old.run);
    case "draining":
      return state.stop === undefined ? undefined : armed("drain-end");
    case "stopping":
      return armed(state.kills === 0 ? "kill" : "kill-again");
    case "gone":
      return undefined;
  }
}

function lawOfTheEnd(world: World): string | undefined {
  const { state, outcome, stopReason } = world;
  if (state.is === "draining" || state.is === "stopping") return world.kept ? "sockets are kept at the end" : undefined;
  if (state.is !== "gone") return undefined;
  if (outcome === undefined) return "gone without a word";
  if (alive(world).some((one) => one.kills < 3)) return "gone, and somebody lives";
  if (outcome.how === "stopped") return outcome.reason === stopReason ? undefined : `ended for "${outcome.reason}"`;
  return stopReason === undefined || world.stopTooLate ? undefined : `asked to stop, ended as ${outcome.how}`;
}
