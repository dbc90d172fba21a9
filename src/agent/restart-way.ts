import type { RestartAsk, Serving } from "../process/launch.ts";

/** What decides between a hot restart and a swap, gathered before. */
export interface WayFacts {
  readonly ask: Pick<RestartAsk, "strategy">;
  readonly serving: Pick<Serving, "hotRestart" | "hotRestartVersion">;
  /** Of the binary that would be started; undefined when it did not say. */
  readonly newVersion: string | undefined;
  readonly sharedMemory: "usable" | { readonly why: string };
}

export interface Way {
  readonly by: "hot-restart" | "swap";
  /** In words, for the log and the status. */
  readonly because: string;
}

/** A hot restart wherever the two Envoys understand each other; a swap for everything else. */
export function restartWay({ ask, serving, newVersion, sharedMemory }: WayFacts): Way {
  const old = serving.hotRestartVersion;
  if (ask.strategy === "swap") return { by: "swap", because: "asked for" };
  if (!serving.hotRestart) return { by: "swap", because: "hot restart is off for the serving Envoy" };
  if (sharedMemory !== "usable") return { by: "swap", because: `shared memory cannot be used: ${sharedMemory.why}` };
  if (newVersion === undefined) return { by: "swap", because: "the new binary does not say its hot-restart version" };
  if (old === undefined) return { by: "swap", because: "the serving Envoy's hot-restart version is not known" };
  if (old !== newVersion)
    return { by: "swap", because: `hot-restart versions differ: ${old} serves, the new binary has ${newVersion}` };
  return { by: "hot-restart", because: `both have hot-restart version ${old}` };
}
