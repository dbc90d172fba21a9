import type { AgentConfig } from "../config/agent-config.ts";
import { describeError } from "../foundation/errors.ts";
import { exitCodeOf, exitCodes } from "../foundation/exit-codes.ts";
import { createLog, type Log } from "../foundation/log.ts";
import { createAgentMetrics } from "../metrics/agent-metrics.ts";
import { EnvoyAdmin } from "../process/envoy-admin.ts";
import type { EnvoyPort } from "../process/envoy-port.ts";
import type { Outcome } from "../process/lifecycle.ts";
import { readAppProbers } from "../status/app-probers.ts";
import { readReadinessProbe } from "../status/application-health-settings.ts";
import { LifecycleEvents, recorded } from "../status/lifecycle-events.ts";
import { realClock } from "../system/clock.ts";
import { onUncaught, toStdout } from "../system/command-line.ts";
import { onSignals } from "../system/early-signals.ts";
import { ownResources } from "../system/own-resources.ts";
import { ownUsage } from "../system/own-usage.ts";
import type { AgentParts, BuildFacts, ControlPlaneParts } from "./agent-parts.ts";
import { controlPlaneFacts, controlPlaneStage } from "./control-plane-stage.ts";
import { endOf } from "./end-of.ts";
import { createLaunches } from "./envoy-launches.ts";
import { createEnvoy } from "./envoy-life.ts";
import { machineStage } from "./machine-stage.ts";
import { memoryWatch } from "./memory-watch.ts";
import { leavePostMortem } from "./post-mortem.ts";
import { reaperStage } from "./reaper-stage.ts";
import { runStages, type Stage } from "./stage.ts";
import { statusStage } from "./status-stage.ts";
import { signalMeaning } from "./stop-signals.ts";
import { watchStage } from "./watch-stage.ts";

/** Where the configuration comes from, for those who look again. */
export interface ConfigSources {
  /** The configuration as its sources are now; throws InvalidConfig. */
  readonly reread: () => Promise<AgentConfig>;
  /** Files that it is read from. */
  readonly files: readonly string[];
}

/**
 * `pilotfish proxy`: from the configuration to the exit code. Everything is known and checked before anything starts;
 * Envoy is started first of all, the rest of us loads while it does.
 */
export async function runAgent(
  config: AgentConfig,
  env: ReadonlyMap<string, string>,
  build: BuildFacts,
  sources: ConfigSources,
): Promise<number> {
  const events = new LifecycleEvents(realClock);
  const log = recorded(openLog(config), events);
  for (const notice of config.notices) log.info(notice);
  // Read again by those who serve them; here so that nothing has started when one can't be used.
  readAppProbers(config.appProbers);
  readReadinessProbe(config.proxy.raw);
  const controlPlaneOf = (): ControlPlaneParts | undefined => controlPlane.parts();
  const launches = await createLaunches({
    config,
    env,
    log,
    clock: realClock,
    reread: sources.reread,
    controlPlane: () => controlPlaneOf()?.xds,
  });
  const { first } = launches;
  for (const notice of first.notices) log.info(notice);
  const end = Promise.withResolvers<Outcome>();
  const memory = memoryWatch();
  let bug: unknown;
  const metrics = createAgentMetrics({ usage: ownUsage, build });
  const envoy = createEnvoy({ config, log, metrics, launches, memory, onGone: end.resolve, onBug });
  const { facts } = first;
  const admin = new EnvoyAdmin(() => envoy.adminTarget());
  const controlPlane = controlPlaneStage({
    config,
    log,
    facts,
    metrics,
    onBug,
    onListeners: () => envoy.listenersChanged(),
  });
  const parts: AgentParts = {
    config,
    env,
    log,
    facts,
    admin,
    envoy,
    metrics,
    build,
    events,
    controlPlane: controlPlane.parts,
    onBug,
  };

  /** A bug of ours must not leave Envoy alone: stop in order, then say what it was. */
  function onBug(error: unknown): void {
    bug ??= error;
    log.error("internal error", { error });
    envoy.post({ on: "stop", reason: "internal error", drain: true });
  }
  onUncaught(onBug);

  const { newestConfig } = launches;
  const watch = watchStage({ clock: realClock, log, config: newestConfig, files: sources.files, envoy, onBug });
  const stages: readonly Stage[] = [
    { name: "bootstrap", start: () => first.write(), stop: () => launches.discardAll() },
    controlPlane,
    envoyStage(envoy, end.promise),
    reaperStage(parts),
    statusStage(parts),
    ...(watch === undefined ? [] : [watch]),
    machineStage(parts),
    {
      name: "signals",
      start: () => void onSignals(signalMeaning(envoy, log, () => dump(parts))),
      stop: () => undefined,
    },
  ];
  let exitCode = 0;
  // Asked while everything still stands: the reason of an early end needs the bootstrap file.
  const untilStopped = async (): Promise<void> => {
    exitCode = await endOf(await end.promise, parts, first, memory.last());
    if (exitCode !== 0) leavePostMortem(parts, exitCode);
  };
  try {
    await runStages(stages, untilStopped, { clock: realClock, log });
  } catch (error) {
    // From here on people read the log, in the shape that they chose for it.
    log.error(describeError(error), { exitCode: exitCodeOf(error) });
    leavePostMortem(parts, exitCodeOf(error));
    return exitCodeOf(error);
  }
  return bug === undefined ? exitCode : exitCodes.internal;
}

function openLog(config: AgentConfig): Log {
  return createLog({
    json: config.log.json,
    level: config.log.levels.get("default") ?? "info",
    scopes: config.log.levels,
    write: toStdout,
    now: () => realClock.wall(),
  });
}

/** The most that lies between SIGTERM and SIGKILL. */
const MOST_KILL_GRACE = 5_000;

function envoyStage(envoy: EnvoyPort, gone: Promise<Outcome>): Stage {
  return {
    name: "envoy",
    start: () => envoy.start(),
    // Reached with a living Envoy only when a later stage could not start: nothing is worth a drain then.
    stop: async () => {
      envoy.post({ on: "stop", reason: "a part could not start", drain: false });
      await gone;
    },
    stopWithin: MOST_KILL_GRACE + 5_000,
  };
}

/** SIGQUIT: what a person at 3 a.m. wants to see, in the log. */
function dump({ envoy, log, controlPlane }: AgentParts): void {
  log.info("State", {
    envoy: envoy.snapshot(),
    controlPlane: controlPlaneFacts(controlPlane()),
    resources: ownResources(),
  });
}
