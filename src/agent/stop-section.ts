import type { Millis } from "../foundation/time.ts";
import { type DrainLimits, type DrainPlan, killGraceOf, planOf } from "../process/drain-plan.ts";
import type { EndUnderWay, EnvoySnapshot } from "../process/envoy-snapshot.ts";
import type { Fact, StatusSection } from "../status/status-document.ts";

/** The plan of the stop: of the one that is under way, otherwise what it would be, counted from its start. */
export function stopSection(snapshot: EnvoySnapshot, limits: DrainLimits, now: Millis): StatusSection {
  const { ending } = snapshot;
  return {
    key: "stop",
    title:
      ending === undefined
        ? "Stop, if it were now"
        : ending.asked
          ? "Stop"
          : "Drained; a stop, if it were asked for now",
    facts: [
      ...(ending === undefined ? ahead(limits) : underWay(snapshot, ending, limits, now)),
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

/** Spans from the start of a stop. */
const ahead = (limits: DrainLimits): readonly Fact[] =>
  moments(planOf({ at: 0, drain: true }, { calledLately: true }, limits)).map(([key, label, at]) => ({
    key,
    label: `${label} after`,
    value: at,
    unit: "ms",
  }));

/** Spans from now: what is past is so and needs no number. */
function underWay(snapshot: EnvoySnapshot, ending: EndUnderWay, limits: DrainLimits, now: Millis): readonly Fact[] {
  const plan = currentPlan(snapshot, ending, limits, now);
  const sent = snapshot.state === "stopping" ? "sent" : "now";
  return [
    { key: "reason", label: "because", value: snapshot.reason, mood: "waiting" },
    { key: "drainingMs", label: "going on for", value: now - plan.at, unit: "ms" },
    ...moments(plan).map(
      ([key, label, at]): Fact =>
        at > now
          ? { key, label: `${label} in`, value: at - now, unit: "ms" }
          : { key, label, value: key === "latestMs" ? sent : "now" },
    ),
  ];
}

/** Once SIGTERM is sent, or when only a stop is missing, SIGKILL counts from that and not from the latest moment. */
function currentPlan(
  { state, since }: EnvoySnapshot,
  ending: EndUnderWay,
  limits: DrainLimits,
  now: Millis,
): DrainPlan {
  const plan = planOf({ at: ending.from, drain: true }, ending.seen, limits);
  if (state === "stopping") return { ...plan, earliest: since, latest: since, killAt: since + killGraceOf(limits) };
  return ending.asked ? plan : { ...plan, killAt: Math.max(plan.latest, now) + killGraceOf(limits) };
}

const moments = (plan: DrainPlan): readonly (readonly [key: string, label: string, at: Millis])[] => [
  ["earliestMs", "called pod may leave", plan.earliest],
  ["latestMs", "SIGTERM to Envoy", plan.latest],
  ["killMs", "SIGKILL to Envoy", plan.killAt],
  ["kubeletMs", "end of grace", plan.kubeletAt],
];
