import type { Millis } from "../foundation/time.ts";
import { type DrainLimits, type DrainPlan, planOf } from "../process/drain-plan.ts";
import type { EnvoySnapshot } from "../process/envoy-snapshot.ts";
import type { Fact, StatusSection } from "../status/status-document.ts";

/** The plan of the stop: of the one that is under way, otherwise what it would be, counted from its start. */
export function stopSection(snapshot: EnvoySnapshot, limits: DrainLimits, now: Millis): StatusSection {
  const draining = snapshot.state === "draining";
  const plan = planOf({ at: draining ? snapshot.since : 0, drain: true }, { calledLately: true }, limits);
  return {
    key: "stop",
    title: draining ? "Stop" : "Stop, if it were now",
    facts: [
      ...(draining ? [{ key: "reason", label: "because", value: snapshot.reason, mood: "waiting" as const }] : []),
      ...(draining ? [{ key: "drainingMs", label: "draining for", value: now - plan.at, unit: "ms" as const }] : []),
      ...moments(plan, draining ? now : 0, draining),
      { key: "graceMs", label: "grace period", value: limits.grace, unit: "ms" },
      {
        key: "terminationDrainMs",
        label: "terminationDrainDuration",
        value: limits.terminationDrain ?? "not set",
        unit: "ms",
      },
      { key: "untilZero", label: "waits for the last connection", value: limits.exitOnZeroConnections },
    ],
  };
}

/** Spans from `from`: what is past is so and needs no number. */
function moments(plan: DrainPlan, from: Millis, draining: boolean): readonly Fact[] {
  const when = draining ? "in" : "after";
  const span = (key: string, label: string, at: Millis): Fact =>
    draining && at <= from
      ? { key, label, value: "now" }
      : { key, label: `${label} ${when}`, value: at - from, unit: "ms" };
  return [
    span("earliestMs", "called pod may leave", plan.earliest),
    span("latestMs", "SIGTERM to Envoy", plan.latest),
    span("killMs", "SIGKILL to Envoy", plan.killAt),
    span("kubeletMs", "end of grace", plan.kubeletAt),
  ];
}
