import type { BootstrapFacts } from "../bootstrap/render-bootstrap.ts";
import type { AgentConfig } from "../config/agent-config.ts";
import { describeError } from "../foundation/errors.ts";
import { exitCodeOf, exitCodes } from "../foundation/exit-codes.ts";
import { createLog, type Log } from "../foundation/log.ts";
import type { Millis } from "../foundation/time.ts";
import { type AgentMetrics, createAgentMetrics } from "../metrics/agent-metrics.ts";
import { killGraceOf } from "../process/drain-plan.ts";
import type { EnvoyAdmin } from "../process/envoy-admin.ts";
import { type EnvoyPort, NoEnvoy } from "../process/envoy-port.ts";
import { EnvoySupervisor } from "../process/envoy-supervisor.ts";
import type { Outcome } from "../process/lifecycle.ts";
import { readAppProbers } from "../status/app-probers.ts";
import { readReadinessProbe } from "../status/application-health-settings.ts";
import { LifecycleEvents, recorded } from "../status/lifecycle-events.ts";
import { realClock } from "../system/clock.ts";
import { onUncaught, toStdout } from "../system/command-line.ts";
import { onSignals } from "../system/early-signals.ts";
import { ownUsage } from "../system/own-usage.ts";
import { type PreparedBootstrap, prepareBootstrap } from "./bootstrap-files.ts";
import { type ControlPlaneParts, controlPlaneFacts, controlPlaneStage } from "./control-plane-stage.ts";
import { drainsInboundOnly } from "./drain-scope.ts";
import { endOf } from "./end-of.ts";
import { envoyStarter } from "./envoy-launch.ts";
import { lifecycleMetrics } from "./lifecycle-metrics.ts";
import { machineStage } from "./machine-stage.ts";
import { memoryWatch } from "./memory-watch.ts";
import { leavePostMortem } from "./post-mortem.ts";
import { reaperStage } from "./reaper-stage.ts";
import { runStages, type Stage } from "./stage.ts";
import { statusStage } from "./status-stage.ts";
import { signalMeaning } from "./stop-signals.ts";

/** What every stage gets: the finished results of what stands before it. */
export interface AgentParts {
  readonly config: AgentConfig;
  readonly env: ReadonlyMap<string, string>;
  readonly log: Log;
  readonly facts: BootstrapFacts;
  readonly admin: EnvoyAdmin;
  readonly envoy: EnvoyPort;
  readonly metrics: AgentMetrics;
  readonly controlPlane: () => ControlPlaneParts | undefined;
  readonly build: BuildFacts;
  /** What happened last, for the status page. */
  readonly events: LifecycleEvents;
  readonly onBug: (error: unknown) => void;
}

/** Which build this is and what runs it. */
export interface BuildFacts {
  readonly version: string;
  readonly commit: string;
  readonly node: string;
}

/**
 * `pilotfish proxy`: from the configuration to the exit code. Everything is known and checked before anything starts;
 * Envoy is started first of all, the rest of us loads while it does.
 */
export async function runAgent(
  config: AgentConfig,
  env: ReadonlyMap<string, string>,
  build: BuildFacts,
): Promise<number> {
  const events = new LifecycleEvents(realClock);
  const log = recorded(openLog(config), events);
  for (const notice of config.notices) log.info(notice);
  // Read again by those who serve them; here so that nothing has started when one can't be used.
  readAppProbers(config.appProbers);
  readReadinessProbe(config.proxy.raw);
  const files = await prepareBootstrap(config);
  for (const notice of files.notices) log.info(notice);
  const end = Promise.withResolvers<Outcome>();
  const memory = memoryWatch();
  let bug: unknown;
  const metrics = createAgentMetrics({ usage: ownUsage, build });
  const envoy = createEnvoy({ config, env, log, metrics, onBug }, files, end.resolve);
  const { facts, admin } = files;
  const controlPlane = controlPlaneStage({ config, log, facts, metrics, onBug });
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

  const stages: readonly Stage[] = [
    { name: "bootstrap", start: () => files.write(0), stop: files.remove },
    controlPlane,
    envoyStage(envoy, end.promise),
    reaperStage(parts),
    statusStage(parts),
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
    exitCode = await endOf(await end.promise, parts, files, memory);
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

function createEnvoy(
  { config, env, log, metrics, onBug }: Pick<AgentParts, "config" | "env" | "log" | "metrics" | "onBug">,
  files: PreparedBootstrap,
  onGone: (outcome: Outcome) => void,
): EnvoyPort {
  if (config.envoy.disabled) return new NoEnvoy(onGone);
  const { ports, mesh, role, stop } = config;
  return new EnvoySupervisor({
    clock: realClock,
    log: log.scoped("envoy"),
    starter: envoyStarter({ config, env, filesOf: files.of }),
    admin: files.admin,
    limits: { ...stop, killGrace: killGraceOf(stop), timeOf: clockTime },
    roles: {
      own: new Set([ports.readiness, ports.prometheus, ports.secureMetrics, ports.secureMergedMetrics, ports.admin]),
      outbound: new Set([mesh.proxyListenPort]),
    },
    countsConnections: files.facts.stats.countsConnections,
    inboundOnly: drainsInboundOnly(role, files.facts, mesh.proxyListenPort),
    onChange: lifecycleMetrics(metrics),
    onGone,
    onBug,
  });
}

/** The most that lies between SIGTERM and SIGKILL. */
const MOST_KILL_GRACE = 5_000;

/** A moment of the monotonic clock as it stands in the log's own times: UTC, to the millisecond. */
const clockTime = (at: Millis): string =>
  new Date(realClock.wall().getTime() + at - realClock.monotonic()).toISOString().slice(11, 23);

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
  log.info("State", { envoy: envoy.snapshot(), controlPlane: controlPlaneFacts(controlPlane()) });
}
