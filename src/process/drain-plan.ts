import type { Millis } from "../foundation/time.ts";

/** What a drain may take, from the configuration. */
export interface DrainLimits {
  /** terminationDrainDuration: the most that open connections get. */
  readonly terminationDrain: Millis;
  /** --min-drain: how long a pod stays whose callers may still have it in their endpoint lists. */
  readonly minDrain: Millis;
  /** MINIMUM_DRAIN_DURATION; counts only with exitOnZeroConnections. */
  readonly minimumDrain: Millis;
  /** EXIT_ON_ZERO_ACTIVE_CONNECTIONS. */
  readonly exitOnZeroConnections: boolean;
}

export interface StopAsk {
  /** Monotonic time at which the drain began. */
  readonly at: Millis;
  readonly drain: boolean;
}

export interface DrainEnd {
  /** Before this moment nobody leaves, even without a connection. */
  readonly earliest: Millis;
  /** At this moment the drain is over, whatever is open. */
  readonly latest: Millis;
}

/**
 * EXIT_ON_ZERO_ACTIVE_CONNECTIONS has no upper bound in the peer (features.md SHUT-2), so that one idle connection
 * holds the pod until the kubelet's SIGKILL. Ours: Kubernetes' grace of 30 s minus 5 s to end Envoy, or
 * terminationDrainDuration if that is longer.
 */
const EXIT_ON_ZERO_BOUND: Millis = 25_000;

/** The whole plan of a drain, from the moment it began. Pure; asked again whenever more is known. */
export function drainEnd(
  stop: StopAsk,
  seen: { readonly calledLately: boolean | undefined },
  limits: DrainLimits,
): DrainEnd {
  if (limits.exitOnZeroConnections) {
    const longest = Math.max(limits.terminationDrain, limits.minimumDrain, EXIT_ON_ZERO_BOUND);
    return { earliest: stop.at + limits.minimumDrain, latest: stop.at + longest };
  }
  // Nobody knows: then somebody may have called, and their endpoint lists lag.
  const stays = seen.calledLately === false ? 0 : Math.min(limits.minDrain, limits.terminationDrain);
  return { earliest: stop.at + stays, latest: stop.at + limits.terminationDrain };
}
