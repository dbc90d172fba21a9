import type { Millis } from "../foundation/time.ts";
import type { AdminWord } from "./admin-watch.ts";
import type { EnvoySnapshot, RestartRecord } from "./envoy-snapshot.ts";
import type { EpochRecord, HistoryEntry, LifecycleState } from "./lifecycle.ts";

interface Facts {
  readonly since: Millis;
  /** By run. */
  readonly pids: ReadonlyMap<number, number>;
  /** What the admin of the one that serves said last. */
  readonly word: AdminWord | undefined;
  readonly history: readonly HistoryEntry[];
  readonly keptSockets: number;
  readonly hotRestartOff: string | undefined;
}

/** The Envoy that answers for us: the one that accepts connections, or that is to. */
export function servingRecord(state: LifecycleState | undefined): EpochRecord | undefined {
  if (state === undefined || state.is === "gone" || state.is === "waiting") return undefined;
  return state.is === "cancelling" ? (state.current ?? state.child) : state.current;
}

/** Folds the machine's states into what others may see. Pure. */
export function snapshotOf(state: LifecycleState | undefined, facts: Facts): EnvoySnapshot {
  const common = {
    since: facts.since,
    history: facts.history.flatMap(restartRecord).reverse(),
    keptSockets: facts.keptSockets,
    hotRestartOff: facts.hotRestartOff,
    phase: state?.is ?? "starting",
  };
  const current = servingRecord(state);
  if (state === undefined || state.is === "gone" || state.is === "waiting" || current === undefined) {
    const [public_, epoch, reason] = nobody(state);
    return { ...common, state: public_, epoch, pid: undefined, reason, adminAnswers: false, processes: [] };
  }
  return {
    ...common,
    state: folded[state.is],
    epoch: current.epoch,
    pid: facts.pids.get(current.run),
    reason: reasonOf(state, facts),
    ...endingOf(state),
    adminAnswers: !withoutAdmin.has(state.is) && !current.adminLost,
    processes: membersOf(state).map(([one, what]) => ({
      epoch: one.epoch,
      pid: facts.pids.get(one.run),
      state: what,
      startedAt: one.startedAt,
      liveAt: one.liveAt,
    })),
  };
}

const ways: Readonly<Record<string, string>> = { crash: "crash-restart" };

/** The first start and the end of an overlap are no restarts. */
function restartRecord({ at, cause, by, outcome, epoch, took, why }: HistoryEntry): readonly RestartRecord[] {
  if (by === "start" || by === "overlap") return [];
  const done = outcome === "done";
  const words = done ? "restarted" : outcome === "unchanged" ? "nothing would be different" : `${outcome}: ${why}`;
  return [
    {
      at,
      cause,
      outcome: words,
      by: done ? (ways[by] ?? by) : undefined,
      epoch: done ? epoch : undefined,
      tookMs: took,
      bad: outcome === "failed" || outcome === "refused",
    },
  ];
}

function nobody(state: LifecycleState | undefined): readonly ["starting" | "stopped", number, string] {
  if (state === undefined) return ["starting", 0, "not started yet"];
  if (state.is === "waiting") return ["starting", state.plan.epoch, "Envoy died and is started again after a while"];
  return ["stopped", -1, "Envoy has ended"];
}

type Folded = Exclude<EnvoySnapshot["state"], "disabled" | "stopped">;
const folded: Readonly<Record<Exclude<LifecycleState["is"], "gone">, Folded>> = {
  starting: "starting",
  waiting: "starting",
  live: "live",
  checking: "live",
  initializing: "live",
  cancelling: "live",
  mending: "live",
  overlap: "live",
  trial: "live",
  yielding: "live",
  draining: "draining",
  stopping: "stopping",
};

/** While a child initializes the admin is the child's. */
const withoutAdmin: ReadonlySet<LifecycleState["is"]> = new Set(["initializing", "cancelling", "mending"]);

/** All processes, newest first, with what each of them does. */
function membersOf(
  state: Exclude<LifecycleState, { is: "gone" | "waiting" }>,
): readonly (readonly [EpochRecord, string])[] {
  switch (state.is) {
    case "starting":
      return [[state.current, "starting"], ...(state.older === undefined ? [] : [[state.older, "ending"] as const])];
    case "live":
    case "checking":
    case "mending":
      return [[state.current, "live"]];
    case "initializing":
      return [
        [state.child, "initializing"],
        [state.current, "live"],
      ];
    case "cancelling":
      return [[state.child, "killed"], ...(state.current === undefined ? [] : [[state.current, "live"] as const])];
    case "overlap":
      return [[state.current, "live"], ...(state.parent === undefined ? [] : [[state.parent, "draining"] as const])];
    case "trial":
      return [
        [state.fresh, state.fresh.liveAt === undefined ? "starting" : "on probation"],
        [state.current, "live"],
      ];
    case "yielding":
      return [
        [state.current, "live"],
        [state.old, "draining"],
      ];
    case "draining":
    case "stopping":
      return [state.current, ...state.others].map((one) => [one, state.is] as const);
  }
}

function reasonOf(state: Exclude<LifecycleState, { is: "gone" }>, facts: Facts): string {
  if (state.is === "starting") return startingReason(facts);
  if (state.is === "draining") return `draining: ${state.stop?.reason ?? "asked to drain"}`;
  return state.is === "stopping" ? `stopping: ${state.stop.reason}` : "";
}

function endingOf(state: LifecycleState): Pick<EnvoySnapshot, "ending"> {
  if (state.is === "draining")
    return { ending: { from: state.since, asked: state.stop !== undefined, seen: state.seen } };
  // Who called before the end of a drain does not matter any more.
  return state.is === "stopping" ? { ending: { from: state.stop.at, asked: true, seen: { calledLately: false } } } : {};
}

/** Envoy's initialization in its own order (Envoy: operations/init): clusters first, then listeners, then workers. */
const waitingFor: Readonly<Record<string, string>> = {
  PRE_INITIALIZING: "Envoy waits for its clusters (first CDS answer)",
  INITIALIZING: "Envoy waits for its listeners (first LDS answer) and what they need",
};

function startingReason({ word }: Facts): string {
  if (word?.info === undefined) return "Envoy is starting: its admin does not answer yet";
  if (word.silence !== undefined) return word.silence;
  return waitingFor[word.info.state] ?? `Envoy says ${word.info.state}`;
}
