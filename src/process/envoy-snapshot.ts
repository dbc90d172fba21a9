import type { Millis } from "../foundation/time.ts";

/**
 * The read-only view of Envoy's life that everybody outside `process/` gets: the machine's inner states are folded
 * into few public ones. A new value each time; nobody can change the machine through it.
 */
export interface EnvoySnapshot {
  readonly state: "disabled" | "starting" | "live" | "draining" | "stopping" | "stopped";
  /** The epoch that serves, or that is being started when none does. */
  readonly epoch: number;
  /** Process id of that epoch, undefined while there is none. */
  readonly pid: number | undefined;
  /** Monotonic time of the last change of state. */
  readonly since: Millis;
  /** Why it is not live, in words: "waiting for …", "draining: SIGTERM". Empty when live. */
  readonly reason: string;
  /** All processes that are there, newest first. */
  readonly processes: readonly EpochSnapshot[];
}

export interface EpochSnapshot {
  readonly epoch: number;
  readonly pid: number | undefined;
  readonly state: string;
  readonly startedAt: Millis;
  readonly liveAt: Millis | undefined;
}
