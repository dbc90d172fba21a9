import type { Millis } from "../foundation/time.ts";
import type { DrainSight } from "./drain-plan.ts";

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
  /** The machine's own state (lifecycle.ts): "overlap", "trial", ... */
  readonly phase?: string;
  /** The drain or the end that is under way. */
  readonly ending?: EndUnderWay;
  /** False while the admin belongs to a child that initializes, or is lost to a dead one: its word is not about `epoch`. */
  readonly adminAnswers?: boolean;
  /** Listen sockets kept beside Envoy: with them its death refuses nobody. */
  readonly keptSockets?: number;
  /** Why a restart can only be a swap; undefined when hot restart can be had. */
  readonly hotRestartOff?: string | undefined;
  /** What became of the restarts so far, oldest first; undefined where there can be none. */
  readonly history?: readonly RestartRecord[];
}

export interface EndUnderWay {
  /** Monotonic time from which the plan counts: of the first of POST /drain and the stop. */
  readonly from: Millis;
  /** False after POST /drain alone: nothing ends before somebody asks for it. */
  readonly asked: boolean;
  /** What is known about who uses the pod. */
  readonly seen: DrainSight;
}

/** One restart that was asked for, or that a crash made necessary. */
export interface RestartRecord {
  /** Monotonic time at which it was over. */
  readonly at: Millis;
  /** "SIGHUP", "POST /hot-restart", "changed: bootstrap", "Envoy was killed by SIGSEGV". */
  readonly cause: string;
  /** In words: "restarted", "refused: …", "failed: …". */
  readonly outcome: string;
  /** How: "hot-restart", "swap", "crash-restart"; undefined when nothing was started. */
  readonly by: string | undefined;
  /** The epoch that serves since; undefined when it stayed what it was. */
  readonly epoch: number | undefined;
  readonly tookMs: Millis | undefined;
  /** It did not do what was asked. */
  readonly bad?: boolean;
}

export interface EpochSnapshot {
  readonly epoch: number;
  readonly pid: number | undefined;
  readonly state: string;
  readonly startedAt: Millis;
  readonly liveAt: Millis | undefined;
}
