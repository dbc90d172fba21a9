import type { AgentConfig } from "../config/agent-config.ts";
import { describeError, InvalidConfig, Unavailable } from "../foundation/errors.ts";
import type { Log } from "../foundation/log.ts";
import { type Clock, within } from "../foundation/time.ts";
import type { Prepare, Prepared, RestartAsk, Serving } from "../process/launch.ts";
import { fileIdentity } from "../system/content-digest.ts";
import { type BinaryFacts, replacedMeanwhile } from "./binary-facts.ts";
import { measuredNeed, memoryObjection, memoryRoom } from "./memory-headroom.ts";
import { binaryObjection, digestParts, type RenderedLaunch } from "./rendered-launch.ts";
import { restartWay } from "./restart-way.ts";

/** What the preflight looks at, and how. */
export interface PreflightDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly binaries: BinaryFacts;
  /** The whole configuration from its sources as they are now; throws InvalidConfig. */
  readonly reread: () => Promise<AgentConfig>;
  /** The next launch of that configuration, rendered and not written. Throws InvalidConfig. */
  readonly render: (config: AgentConfig) => Promise<RenderedLaunch>;
  /** Files of /proc and /sys; undefined when there is none. */
  readonly readFile: (path: string) => string | undefined;
  readonly sharedMemory: () => "usable" | { readonly why: string };
  /** What forwards configuration to Envoy; undefined when this agent was started without. */
  readonly controlPlane: () => { readonly probe: () => Promise<string | undefined> } | undefined;
}

type Refusal = Extract<Prepared, { readonly is: "refused" }>;

/** Longest that the control plane's answer is waited for. */
const PROBE_WITHIN = 15_000;

/**
 * Everything that can be known before a new Envoy is started. The cheap checks come first, and memory before the
 * validation, which is an Envoy of its own. Nothing that serves is touched; a launch that is not wanted leaves no file.
 */
export function createPreflight(deps: PreflightDeps): Prepare {
  return async (ask, serving) => {
    let launch: RenderedLaunch | undefined;
    try {
      const fresh = await renderAnew(deps);
      if ("is" in fresh) return fresh;
      launch = fresh.launch;
      const prepared = await judge(deps, launch, ask, serving);
      if (prepared.is !== "ready") launch.discard();
      return prepared;
    } catch (error) {
      launch?.discard();
      deps.log.error("The preflight of a restart failed", { error });
      return refused("bootstrap", describeError(error));
    }
  };
}

async function renderAnew(deps: PreflightDeps): Promise<{ readonly launch: RenderedLaunch } | Refusal> {
  try {
    return { launch: await deps.render(await deps.reread()) };
  } catch (error) {
    if (error instanceof InvalidConfig || error instanceof Unavailable) return refused("bootstrap", error.message);
    throw error;
  }
}

async function judge(
  deps: PreflightDeps,
  launch: RenderedLaunch,
  ask: RestartAsk,
  serving: Serving,
): Promise<Prepared> {
  const objection = binaryObjection(launch.binary);
  if (objection !== undefined) return refused("binary", objection);
  const before = digestParts(serving.digest);
  const now = digestParts(launch.digest);
  const sameBinary = await deps.binaries.runs(serving.pid, before.identity, launch.binary);
  if (!ask.explicit && sameBinary && before.settings === now.settings) return { is: "unchanged" };
  const ignored = ask.ignoreMemory || launch.config.hotRestart?.ignoreMemory === true;
  const noRoom = ignored ? undefined : memoryRefusal(deps, serving.pid, sameBinary);
  const refusal = noRoom ?? (await bootstrapRefusal(launch)) ?? (await controlPlaneRefusal(deps, launch)) ?? undefined;
  if (refusal !== undefined) return refusal;
  return decideWay(deps, launch, { ask, serving, sameBinary });
}

function memoryRefusal(deps: PreflightDeps, pid: number, sameBinary: boolean): Refusal | undefined {
  const why = memoryObjection(memoryRoom(deps.readFile), measuredNeed(deps.readFile, pid, sameBinary));
  return why === undefined ? undefined : refused("memory", why);
}

async function bootstrapRefusal(launch: RenderedLaunch): Promise<Refusal | undefined> {
  try {
    launch.write();
  } catch (error) {
    if (error instanceof Unavailable) return refused("bootstrap", error.message);
    throw error;
  }
  const validation = await launch.validate();
  if (validation.is === "accepted") return undefined;
  return refused("bootstrap", validation.is === "refused" ? `Envoy refuses it: ${validation.words}` : validation.why);
}

async function controlPlaneRefusal(deps: PreflightDeps, { facts }: RenderedLaunch): Promise<Refusal | undefined> {
  if (!facts.usesAds && facts.secrets.length === 0) return undefined;
  const controlPlane = deps.controlPlane();
  if (controlPlane === undefined) {
    const what = facts.usesAds ? "configuration by ADS" : "certificates by SDS";
    return refused("control-plane", `the bootstrap now asks for ${what}; start pilotfish anew, it runs without`);
  }
  if (!facts.usesAds) return undefined;
  const probed = await within(deps.clock, PROBE_WITHIN, controlPlane.probe());
  const why = probed.timedOut ? `no answer within ${PROBE_WITHIN / 1_000} s` : probed.value;
  return why === undefined ? undefined : refused("control-plane", `a new Envoy would wait for its listeners: ${why}`);
}

interface Case {
  readonly ask: RestartAsk;
  readonly serving: Serving;
  readonly sameBinary: boolean;
}

async function decideWay(deps: PreflightDeps, launch: RenderedLaunch, { ask, serving, sameBinary }: Case) {
  const newVersion = await deps.binaries.version(launch.binary);
  if (fileIdentity(launch.binary) !== launch.identity) return refused("binary", replacedMeanwhile(launch.binary));
  // A serving Envoy that was never asked has the version of its binary, as long as that is still there to ask.
  const hotRestartVersion = serving.hotRestartVersion ?? (sameBinary ? newVersion : undefined);
  const sharedMemory = deps.sharedMemory();
  const way = restartWay({ ask, serving: { ...serving, hotRestartVersion }, newVersion, sharedMemory });
  return { is: "ready", launch, ...way } satisfies Prepared;
}

const refused = (check: Refusal["check"], why: string): Refusal => ({ is: "refused", check, why });
