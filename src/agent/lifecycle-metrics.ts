import type { AgentMetrics } from "../metrics/agent-metrics.ts";
import type { EnvoySnapshot } from "../process/envoy-snapshot.ts";
import type { ExitFacts } from "../process/lifecycle/states.ts";
import type { HistoryEntry } from "../process/lifecycle.ts";
import { realClock } from "../system/clock.ts";

const states = ["disabled", "starting", "live", "draining", "stopping", "stopped"] as const;

export interface LifecycleMetrics {
  /** At every change of state. */
  changed(snapshot: EnvoySnapshot): void;
  exited(exit: ExitFacts, asked: boolean): void;
  recorded(entry: HistoryEntry, check: string | undefined): void;
}

/** What Envoy's life leaves in our metrics. */
export function lifecycleMetrics(metrics: AgentMetrics): LifecycleMetrics {
  let drainSince: number | undefined;
  let everLive = false;
  return {
    changed(snapshot) {
      const now = realClock.monotonic();
      for (const state of states) metrics.set("pilotfish_envoy_state", snapshot.state === state ? 1 : 0, { state });
      metrics.set("pilotfish_envoy_processes", snapshot.processes.length);
      metrics.set("pilotfish_kept_sockets", snapshot.keptSockets ?? 0);
      metrics.set("pilotfish_hot_restart_available", snapshot.hotRestartOff === undefined ? 1 : 0);
      if (snapshot.epoch >= 0) metrics.set("pilotfish_envoy_epoch", snapshot.epoch);
      // The monotonic clock begins with the process: what it says at the first LIVE is how long the start took.
      if (snapshot.state === "live" && !everLive) {
        everLive = true;
        metrics.set("istio_agent_startup_duration_seconds", now / 1_000);
      }
      if (snapshot.state === "draining" && drainSince === undefined) {
        drainSince = now;
        metrics.count("pilotfish_drains_total");
      } else if (snapshot.state !== "draining" && drainSince !== undefined) {
        metrics.observe("pilotfish_drain_duration_seconds", (now - drainSince) / 1_000);
        drainSince = undefined;
      }
    },
    exited(exit, asked) {
      metrics.count("pilotfish_envoy_exits_total", { how: howOf(exit, asked) });
    },
    recorded(entry, check) {
      recordRestart(metrics, entry, check);
    },
  };
}

function howOf({ exit, outOfMemory }: ExitFacts, asked: boolean): "asked" | "code" | "signal" | "out_of_memory" {
  if (outOfMemory && exit.how === "killed") return "out_of_memory";
  if (asked || (exit.how === "exited" && exit.code === 0)) return "asked";
  return exit.how === "exited" ? "code" : "signal";
}

type Cause = "signal" | "request" | "change" | "crash" | "watchdog";

function causeOf(cause: string): Cause {
  if (cause === "crash") return "crash";
  if (cause === "hung") return "watchdog";
  if (cause.startsWith("changed")) return "change";
  return cause.startsWith("SIG") ? "signal" : "request";
}

const checks = ["bootstrap", "binary", "shared-memory", "memory", "control-plane"] as const;

function recordRestart(metrics: AgentMetrics, entry: HistoryEntry, check: string | undefined): void {
  const { by, outcome, took, cause } = entry;
  if (by === "overlap") return metrics.observe("pilotfish_hot_restart_overlap_seconds", took / 1_000);
  if (by === "start" || outcome === "unchanged") return;
  metrics.count("pilotfish_envoy_restarts_total", { cause: causeOf(cause), outcome });
  if (by === "hot-restart" && outcome === "done")
    metrics.observe("pilotfish_hot_restart_duration_seconds", took / 1_000);
  const known = checks.find((one) => one === check);
  if (known !== undefined) metrics.count("pilotfish_preflight_refusals_total", { check: known });
}
