import type { Millis } from "../foundation/time.ts";
import type { ServerInfo } from "./envoy-admin.ts";
import type { EnvoySnapshot } from "./envoy-snapshot.ts";
import type { EpochRecord, LifecycleState } from "./lifecycle.ts";

interface Facts {
  readonly since: Millis;
  readonly pids: ReadonlyMap<number, number>;
  /** The admin's last answer. */
  readonly info: ServerInfo | undefined;
  /** Why the admin did not answer the last time; undefined when it did. */
  readonly silence: string | undefined;
}

/** Folds the machine's states into what others may see. Pure. */
export function snapshotOf(state: LifecycleState | undefined, facts: Facts): EnvoySnapshot {
  if (state === undefined)
    return {
      state: "starting",
      epoch: 0,
      pid: undefined,
      since: facts.since,
      reason: "not started yet",
      processes: [],
    };
  if (state.is === "gone") {
    return {
      state: "stopped",
      epoch: -1,
      pid: undefined,
      since: facts.since,
      reason: "Envoy has ended",
      processes: [],
    };
  }
  const { current } = state;
  return {
    state: state.is,
    epoch: current.epoch,
    pid: facts.pids.get(current.epoch),
    since: facts.since,
    reason: reasonOf(state, facts),
    processes: [record(current, state.is, facts)],
  };
}

const record = (one: EpochRecord, state: string, facts: Facts): EnvoySnapshot["processes"][number] => ({
  epoch: one.epoch,
  pid: facts.pids.get(one.epoch),
  state,
  startedAt: one.startedAt,
  liveAt: one.liveAt,
});

function reasonOf(state: Exclude<LifecycleState, { is: "gone" }>, facts: Facts): string {
  switch (state.is) {
    case "starting":
      return startingReason(facts);
    case "live":
      return "";
    case "draining":
      return `draining: ${state.stop?.reason ?? "asked to drain"}`;
    case "stopping":
      return `stopping: ${state.stop.reason}`;
  }
}

/** Envoy's initialization in its own order (Envoy: operations/init): clusters first, then listeners, then workers. */
const waitingFor: Readonly<Record<string, string>> = {
  PRE_INITIALIZING: "Envoy waits for its clusters (first CDS answer)",
  INITIALIZING: "Envoy waits for its listeners (first LDS answer) and what they need",
};

function startingReason(facts: Facts): string {
  if (facts.info === undefined) return "Envoy is starting: its admin does not answer yet";
  if (facts.silence !== undefined) return facts.silence;
  return waitingFor[facts.info.state] ?? `Envoy says ${facts.info.state}`;
}
