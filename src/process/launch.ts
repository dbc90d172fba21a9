import type { Millis } from "../foundation/time.ts";
import type { HttpTarget } from "../system/http-client.ts";
import type { ExitReport, RunningProgram } from "../system/programs.ts";
import type { Lineage } from "./hot-restart/names.ts";

/**
 * Everything that Envoy is started with, decided and written down before: binary, bootstrap file, arguments. A value of
 * one rendering; it may be started more than once (a crash starts the last one that was LIVE again).
 */
export interface Launch {
  /** Of all that would make a difference: bootstrap, override, arguments, the binary's content. */
  readonly digest: string;
  /** What `--hot-restart-version` of the binary printed ("11.104"); undefined when it did not say. */
  readonly hotRestartVersion: string | undefined;
  /** Envoy's admin by this bootstrap; undefined when it has none. */
  readonly admin: HttpTarget | undefined;
  /** How long its parent lives on after it is LIVE, for LaunchHow.hotRestart. */
  readonly parentShutdown: Millis;
  /** Starts it. Throws Unavailable or CannotStartProgram when it cannot be started; else `onExit` is called once. */
  start(how: LaunchHow, onExit: (exit: ExitReport) => void): RunningProgram;
  /** Nobody will start it again: removes its file. Idempotent. */
  discard(): void;
}

export interface LaunchHow {
  /** Value of --restart-epoch. */
  readonly epoch: number;
  /** Undefined: hot restart is off for this one (--disable-hot-restart). */
  readonly hotRestart: { readonly lineage: Lineage; readonly parentShutdown: Millis } | undefined;
  /** A unix socket that takes the place of the bootstrap's admin address: two Envoys cannot share one. */
  readonly adminPath: string | undefined;
  /**
   * Worker threads of the Envoy before it, for a configuration that leaves them to Envoy: fewer than before would
   * reset connections that wait (hot-restart.md 5). Undefined: the first one.
   */
  readonly concurrency?: number | undefined;
}

/** How somebody asked for a new Envoy. */
export interface RestartAsk {
  /** In words, for the log and the status: "SIGHUP", "POST /hot-restart", "changed: bootstrap". */
  readonly cause: string;
  /** "auto": a hot restart, or a swap where that cannot be. */
  readonly strategy: "auto" | "swap";
  /** A watched change is not explicit: it does nothing when Envoy would be started with the same. */
  readonly explicit: boolean;
  /** Go on although the memory does not suffice for two. */
  readonly ignoreMemory: boolean;
}

export type RestartOutcome =
  | {
      readonly is: "restarted";
      readonly by: "hot-restart" | "swap";
      readonly epoch: number;
      readonly took: Millis;
    }
  /** Nothing would be different, and nobody insisted. */
  | { readonly is: "unchanged" }
  /** The preflight said no; nothing was touched. */
  | { readonly is: "refused"; readonly why: string }
  /** It was tried and did not work; the Envoy before serves on. */
  | { readonly is: "failed"; readonly why: string }
  /** A stop or a drain came first. */
  | { readonly is: "overtaken"; readonly why: string };

/** The Envoy that serves while another one is prepared. */
export interface Serving {
  readonly pid: number;
  readonly digest: string;
  readonly hotRestartVersion: string | undefined;
  /** False: hot restart is off for it, so only a swap can replace it. */
  readonly hotRestart: boolean;
}

export type Prepared =
  | { readonly is: "ready"; readonly launch: Launch; readonly by: "hot-restart" | "swap"; readonly because: string }
  | { readonly is: "unchanged" }
  | {
      readonly is: "refused";
      readonly check: "bootstrap" | "binary" | "shared-memory" | "memory" | "control-plane";
      readonly why: string;
    };

/**
 * The preflight: renders, lets the new Envoy validate, looks at shared memory, memory and control plane. Touches nothing
 * that serves. Never rejects for what it finds.
 */
export type Prepare = (ask: RestartAsk, serving: Serving) => Promise<Prepared>;
