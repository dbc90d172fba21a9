import { drainBudget, reservedForTheEnd } from "../config/stop-settings.ts";
import type { Millis } from "../foundation/time.ts";

/*
 * One budget for the whole stop: the pod's grace period, counted from the first of POST /drain and SIGTERM, because the
 * kubelet counts preStop hooks too. Everything is planned inside it:
 *
 *   at          the drain begins; nobody who still has this pod in an endpoint list is refused
 *   earliest    a pod that was called lately stays until here, even without a connection
 *   latest      SIGTERM to Envoy, whatever is still open
 *   killAt      SIGKILL to Envoy, if it has not ended by itself
 *   kubeletAt   the kubelet's SIGKILL to us; we left before
 */

/** What a drain may take, from the configuration. */
export interface DrainLimits {
  /** The pod's grace period: TERMINATION_GRACE_PERIOD, --termination-grace, or Kubernetes' own 30 s. */
  readonly grace: Millis;
  /** terminationDrainDuration, the most that open connections get; undefined when nobody set it: the grace decides. */
  readonly terminationDrain: Millis | undefined;
  /** --min-drain: how long a pod stays whose callers may still have it in their endpoint lists. */
  readonly minDrain: Millis;
  /** MINIMUM_DRAIN_DURATION; counts only with exitOnZeroConnections. */
  readonly minimumDrain: Millis;
  /** EXIT_ON_ZERO_ACTIVE_CONNECTIONS. */
  readonly exitOnZeroConnections: boolean;
  /** Envoy's own drain time (--drain-time-s): told to drain, it closes its listeners when that is over. */
  readonly envoyDrain: Millis;
  /** Writes a moment of the monotonic clock as people read it; without it the plan counts from the start of the stop. */
  readonly timeOf?: (at: Millis) => string;
}

export interface StopAsk {
  /** Monotonic time at which the drain began: the first of POST /drain and the stop. */
  readonly at: Millis;
  readonly drain: boolean;
}

/** What is known about who uses the pod. */
export interface DrainSight {
  /** Whether the pod was called from outside within the last minute; undefined when nobody knows. */
  readonly calledLately: boolean | undefined;
  /** Since when every count of the connections has failed; undefined while they are known, or before the first count. */
  readonly blindSince?: Millis | undefined;
}

export interface DrainEnd {
  /** Before this moment nobody leaves, even without a connection. */
  readonly earliest: Millis;
  /** At this moment the drain is over, whatever is open. */
  readonly latest: Millis;
}

/** All times of a stop, on the monotonic clock. */
export interface DrainPlan extends DrainEnd {
  readonly at: Millis;
  /** SIGKILL to Envoy, at the latest. */
  readonly killAt: Millis;
  /** When the kubelet ends the container, as far as we were told. */
  readonly kubeletAt: Millis;
}

/**
 * Nobody can tell the connections (Envoy's admin hangs, or this bootstrap keeps no counts): they get what the peer
 * gives them, its default terminationDrainDuration. Not zero, and not the whole grace of perhaps an hour either.
 */
const BLIND_PATIENCE: Millis = 5_000;

/** Of what is reserved for the end (config/stop-settings.ts): the rest is ours, to say what happened and to leave. */
const ENVOYS_SHARE = 0.8;

/** From SIGTERM to SIGKILL. Begun at the latest moment of the plan, it ends before the kubelet's SIGKILL. */
export const killGraceOf = ({ grace }: Pick<DrainLimits, "grace">): Millis => reservedForTheEnd(grace) * ENVOYS_SHARE;

/** When the drain may end and when it must. Pure; asked again whenever more is known. */
export function drainEnd(stop: StopAsk, seen: DrainSight, limits: DrainLimits): DrainEnd {
  if (!stop.drain) return { earliest: stop.at, latest: stop.at };
  const longest = longestDrain(limits);
  const earliest = stop.at + Math.min(shortestDrain(seen, limits), longest);
  return { earliest, latest: latestEnd(stop.at + longest, earliest, seen, limits) };
}

/** EXIT_ON_ZERO_ACTIVE_CONNECTIONS waits for the last connection, so terminationDrainDuration does not cap it. */
function longestDrain({ grace, terminationDrain, exitOnZeroConnections }: DrainLimits): Millis {
  const budget = drainBudget(grace);
  return exitOnZeroConnections ? budget : Math.min(budget, terminationDrain ?? budget);
}

function shortestDrain(seen: DrainSight, limits: DrainLimits): Millis {
  if (limits.exitOnZeroConnections) return limits.minimumDrain;
  // Nobody knows: then somebody may have called, and their endpoint lists lag.
  return seen.calledLately === false ? 0 : limits.minDrain;
}

/** A duration that somebody set is waited out for connections that nobody can count, as the peer does. */
function latestEnd(latest: Millis, earliest: Millis, seen: DrainSight, limits: DrainLimits): Millis {
  const asked = limits.terminationDrain !== undefined && !limits.exitOnZeroConnections;
  if (seen.blindSince === undefined || asked) return latest;
  return Math.min(latest, Math.max(earliest, seen.blindSince + BLIND_PATIENCE));
}

/**
 * Whether Envoy must be told to keep its listeners open (skip_exit) until it ends: its own drain time may be over
 * before the callers have heard of the end, and they would be refused.
 */
export function keepsListening(limits: DrainLimits): boolean {
  const stay = limits.exitOnZeroConnections ? limits.minimumDrain : limits.minDrain;
  return limits.envoyDrain < Math.min(stay, longestDrain(limits));
}

/** The whole plan of a stop. */
export function planOf(stop: StopAsk, seen: DrainSight, limits: DrainLimits): DrainPlan {
  const end = drainEnd(stop, seen, limits);
  return { at: stop.at, ...end, killAt: end.latest + killGraceOf(limits), kubeletAt: stop.at + limits.grace };
}

/** The plan in words, for the log line at the start of a stop. */
export function planText(plan: DrainPlan, limits: Pick<DrainLimits, "timeOf">): string {
  const time = limits.timeOf ?? ((at: Millis) => `+${secondsText(at - plan.at)}`);
  const over =
    plan.earliest < plan.latest
      ? `over between ${time(plan.earliest)} and ${time(plan.latest)}`
      : `over at ${time(plan.latest)}`;
  return `drain from ${time(plan.at)}, ${over}, Envoy killed by ${time(plan.killAt)}, end of grace ${time(plan.kubeletAt)}`;
}

const secondsText = (span: Millis): string => `${Math.round(span) / 1_000} s`;
