import type { AgentMetrics } from "../metrics/agent-metrics.ts";
import type { EnvoySnapshot } from "../process/envoy-snapshot.ts";
import { realClock } from "../system/clock.ts";

const states = ["disabled", "starting", "live", "draining", "stopping", "stopped"] as const;

/** What Envoy's life leaves in our metrics; called at every change of state. */
export function lifecycleMetrics(metrics: AgentMetrics): (snapshot: EnvoySnapshot) => void {
  let drainSince: number | undefined;
  let everLive = false;
  return (snapshot) => {
    const now = realClock.monotonic();
    for (const state of states) metrics.set("pilotfish_envoy_state", snapshot.state === state ? 1 : 0, { state });
    metrics.set("pilotfish_envoy_processes", snapshot.processes.length);
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
  };
}
