import type { Millis } from "../foundation/time.ts";
import type { StopSettings } from "./agent-config.ts";
import type { EnvironmentReader } from "./environment-reader.ts";
import type { FlagReader } from "./flag-reader.ts";
import type { Notices } from "./notices.ts";
import type { MergedProxy } from "./proxy-config.ts";
import { firstSet } from "./units.ts";

/** What Kubernetes gives a pod that does not say terminationGracePeriodSeconds. */
const KUBERNETES_GRACE = 30_000;
/** How long callers' endpoint lists may lag. */
const MIN_DRAIN = 5_000;

const MOST_RESERVED: Millis = 5_000;
/** Envoy ends within 0.7 s of a SIGTERM (hot-restart.md). */
const LEAST_RESERVED: Millis = 1_000;

/** What is kept of a grace for ending Envoy and ourselves: 5 s of Kubernetes' 30 s, a quarter of a short one. */
export const reservedForTheEnd = (grace: Millis): Millis =>
  Math.min(MOST_RESERVED, Math.max(LEAST_RESERVED, grace / 4));

/** How long a drain can be within a grace. */
export const drainBudget = (grace: Millis): Millis => Math.max(0, grace - reservedForTheEnd(grace));

/** How the stop is planned: process/drain-plan.ts makes the times of it. */
export function readStopSettings(
  flags: FlagReader,
  env: EnvironmentReader,
  proxy: MergedProxy,
  notices: Notices,
): StopSettings {
  const told = firstSet(flags.duration("termination-grace", 0), env.duration("TERMINATION_GRACE_PERIOD"));
  const stop: StopSettings = {
    grace: told ?? KUBERNETES_GRACE,
    terminationDrain: proxy.terminationDrainAsked,
    envoyDrain: proxy.drainDuration,
    minDrain: flags.duration("min-drain", 0) ?? MIN_DRAIN,
    minimumDrain: env.duration("MINIMUM_DRAIN_DURATION"),
    exitOnZeroConnections: env.boolean("EXIT_ON_ZERO_ACTIVE_CONNECTIONS"),
  };
  noteWhatDoesNotFit(stop, told === undefined, notices);
  return stop;
}

/** Said at the start, not at the stop: then it is too late to change the pod. */
function noteWhatDoesNotFit(stop: StopSettings, assumed: boolean, notices: Notices): void {
  const { grace, terminationDrain, minimumDrain, exitOnZeroConnections } = stop;
  const [name, wanted] = exitOnZeroConnections
    ? (["MINIMUM_DRAIN_DURATION", minimumDrain] as const)
    : (["terminationDrainDuration", terminationDrain ?? 0] as const);
  if (wanted <= drainBudget(grace)) return;
  const remedy = assumed
    ? "if the pod has more, set TERMINATION_GRACE_PERIOD or --termination-grace to its terminationGracePeriodSeconds"
    : "give the pod a longer terminationGracePeriodSeconds";
  const period = `${assumed ? "Kubernetes' usual grace period" : "the grace period"} of ${grace / 1_000}s`;
  notices.add(
    `${name} ${wanted / 1_000}s does not fit into ${period}, so draining ends after ${drainBudget(grace) / 1_000}s; ${remedy}`,
  );
}
