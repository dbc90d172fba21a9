import type { AgentConfig } from "../config/agent-config.ts";
import type { Log } from "../foundation/log.ts";
import type { Clock } from "../foundation/time.ts";
import { checkSharedMemory } from "../process/hot-restart/shared-memory.ts";
import type { Prepare } from "../process/launch.ts";
import { readText } from "../system/files.ts";
import { BinaryFacts } from "./binary-facts.ts";
import { keepSettings } from "./kept-settings.ts";
import { type LaunchContext, type RenderedLaunch, renderLaunch } from "./rendered-launch.ts";

export interface LaunchesDeps {
  readonly config: AgentConfig;
  readonly env: ReadonlyMap<string, string>;
  readonly log: Log;
  readonly clock: Clock;
  /** The configuration from its sources as they are now (cli/load-config.ts); throws InvalidConfig. */
  readonly reread: () => Promise<AgentConfig>;
  /** What forwards configuration to Envoy; undefined while there is none. */
  readonly controlPlane: () => { readonly probe: () => Promise<string | undefined> } | undefined;
  /** For tests; normally /dev/shm. */
  readonly sharedMemoryFolder?: string;
}

/** Everything that Envoy may be started with in the life of this agent. */
export interface Launches {
  /** Of the configuration at the start; its notices are for the caller to log. */
  readonly first: RenderedLaunch;
  readonly prepare: Prepare;
  /** Configuration of the newest one that was rendered; whoever watches inputs reads there which they are. */
  newestConfig(): AgentConfig;
  /** Removes every bootstrap file that is left. */
  discardAll(): void;
}

/**
 * Renders the first launch, cheaply: neither is the binary read nor asked. What later ones need is loaded with them.
 * Throws InvalidConfig.
 */
export async function createLaunches(deps: LaunchesDeps): Promise<Launches> {
  const alive = new Set<RenderedLaunch>();
  const context: LaunchContext = {
    env: deps.env,
    binaries: new BinaryFacts(deps.env),
    onDiscard: (launch) => alive.delete(launch),
  };
  const first = await renderLaunch(deps.config, 0, context);
  alive.add(first);
  let serial = 0;
  let newest = deps.config;
  const said = new Set([...deps.config.notices, ...first.notices]);
  const render = async (fresh: AgentConfig): Promise<RenderedLaunch> => {
    const { config, notices } = keepSettings(deps.config, fresh);
    serial += 1;
    const launch = await renderLaunch(config, serial, context);
    alive.add(launch);
    newest = config;
    sayOnce(deps.log, said, [...notices, ...fresh.notices, ...launch.notices]);
    return launch;
  };
  return {
    first,
    prepare: async (ask, serving) => {
      const { createPreflight } = await import("./preflight.ts");
      const { clock, log, reread, controlPlane, sharedMemoryFolder } = deps;
      const sharedMemory = () => checkSharedMemory(sharedMemoryFolder);
      const { binaries } = context;
      const parts = { clock, log, reread, controlPlane, binaries, render, sharedMemory, readFile: readIfThere };
      return createPreflight(parts)(ask, serving);
    },
    newestConfig: () => newest,
    discardAll: () => {
      for (const launch of alive) launch.discard();
    },
  };
}

function sayOnce(log: Log, said: Set<string>, sentences: readonly string[]): void {
  for (const sentence of sentences) {
    if (said.has(sentence)) continue;
    said.add(sentence);
    log.info(sentence);
  }
}

/** A process may go and a file of the kernel may refuse: then nothing is known. */
function readIfThere(path: string): string | undefined {
  try {
    return readText(path, 1024 * 1024);
  } catch {
    return undefined;
  }
}
