import type { AgentConfig } from "../config/agent-config.ts";
import type { Log } from "../foundation/log.ts";
import type { Millis } from "../foundation/time.ts";
import type { AgentMetrics } from "../metrics/agent-metrics.ts";
import { killGraceOf } from "../process/drain-plan.ts";
import { type EnvoyPort, NoEnvoy } from "../process/envoy-port.ts";
import { EnvoySupervisor } from "../process/envoy-supervisor.ts";
import { Lineages } from "../process/hot-restart/lineages.ts";
import type { LifecycleLimits, Outcome } from "../process/lifecycle.ts";
import { chance } from "../system/chance.ts";
import { realClock } from "../system/clock.ts";
import { datagramSockets } from "../system/datagram-sockets.ts";
import type { HttpTarget } from "../system/http-client.ts";
import { allowTcpMigration } from "../system/tcp-migration.ts";
import { AdminPort } from "./admin-port.ts";
import { drainsInboundOnly } from "./drain-scope.ts";
import type { Launches } from "./envoy-launches.ts";
import { lifecycleMetrics } from "./lifecycle-metrics.ts";
import type { MemoryWatch } from "./memory-watch.ts";

export interface EnvoyLifeDeps {
  readonly config: AgentConfig;
  readonly log: Log;
  readonly metrics: AgentMetrics;
  readonly launches: Launches;
  readonly memory: MemoryWatch;
  readonly onGone: (outcome: Outcome) => void;
  readonly onBug: (error: unknown) => void;
}

/** Puts the driver of Envoy's life together; with DISABLE_ENVOY there is nothing to drive. */
export function createEnvoy(deps: EnvoyLifeDeps): EnvoyPort {
  const { config, log, metrics, launches, memory, onGone, onBug } = deps;
  if (config.envoy.disabled) return new NoEnvoy(onGone);
  const { ports, mesh, role, hotRestart, bootstrap } = config;
  const { first, prepare } = launches;
  const noAdmin: HttpTarget = { host: "127.0.0.1", port: ports.admin };
  const told = lifecycleMetrics(metrics);
  const adminPort = new AdminPort(first.admin, log, realClock);
  const supervisor = new EnvoySupervisor({
    clock: realClock,
    log: log.scoped("envoy"),
    first,
    prepare,
    noAdmin,
    lineages: new Lineages({ log, directory: bootstrap.directory, baseId: hotRestart?.baseId, chance }),
    sockets: datagramSockets,
    limits: limitsOf(config, launches),
    roles: {
      own: new Set([ports.readiness, ports.prometheus, ports.secureMetrics, ports.secureMergedMetrics, ports.admin]),
      outbound: new Set([mesh.proxyListenPort]),
    },
    countsConnections: first.facts.stats.countsConnections,
    inboundOnly: drainsInboundOnly(role, first.facts, mesh.proxyListenPort),
    outOfMemory: () => memory.proven(),
    chance,
    onSwap: () => migrate(log),
    onChange: (snapshot) => {
      told.changed(snapshot);
      adminPort.follow(supervisor.adminTarget());
    },
    onExit: told.exited,
    onRecord: told.recorded,
    onGone: (outcome) => {
      adminPort.close();
      onGone(outcome);
    },
    onBug,
  });
  return supervisor;
}

/** A child that gets its listeners from a control plane waits for it. */
const [LIVE_WITHIN, LIVE_WITHIN_ADS]: readonly [Millis, Millis] = [20_000, 60_000];

function limitsOf({ stop, hotRestart }: AgentConfig, { first }: Launches): LifecycleLimits {
  return {
    ...stop,
    killGrace: killGraceOf(stop),
    timeOf: clockTime,
    parentShutdown: first.parentShutdown,
    liveWithin: first.facts.usesAds ? LIVE_WITHIN_ADS : LIVE_WITHIN,
    probation: hotRestart?.probation ?? 10_000,
    attempts: 3,
    retryAfter: 2_000,
  };
}

/** A moment of the monotonic clock as it stands in the log's own times: UTC, to the millisecond. */
const clockTime = (at: Millis): string =>
  new Date(realClock.wall().getTime() + at - realClock.monotonic()).toISOString().slice(11, 23);

function migrate(log: Log): void {
  const done = allowTcpMigration();
  if (typeof done !== "string")
    log.info("Connections that wait while a listen socket closes may be reset", { why: done.why });
}
