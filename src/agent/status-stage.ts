import type { AgentConfig, JsonObject } from "../config/agent-config.ts";
import type { Log } from "../foundation/log.ts";
import { type Millis, within } from "../foundation/time.ts";
import type { EnvoyStats } from "../metrics/serve-metrics.ts";
import type { EnvoyPort } from "../process/envoy-port.ts";
import type { Ask } from "../status/control-routes.ts";
import type { Verdict } from "../status/readiness.ts";
import type { Handler, StatusServer } from "../status/status-server.ts";
import { realClock } from "../system/clock.ts";
import type { AgentParts } from "./agent-parts.ts";
import { askRestart } from "./ask-restart.ts";
import { readinessContributors } from "./contributors.ts";
import { controlPlaneContributors } from "./control-plane-standing.ts";
import type { Stage } from "./stage.ts";
import { statsTarget } from "./stats-target.ts";
import { statusPage } from "./status-page.ts";

/**
 * The status server and what it serves. Loaded here and not before: node:http and the metrics cost tens of
 * milliseconds, which Envoy needs anyway to come up.
 */
export function statusStage(parts: AgentParts): Stage {
  let close: () => Promise<void> = async () => undefined;
  return {
    name: "status",
    start: async () => {
      const { createStatusServer } = await import("../status/status-server.ts");
      const server: StatusServer = createStatusServer(await statusDeps(parts, () => server.readiness.look()));
      close = () => server.close();
      parts.metrics.watch("pilotfish_ready", () => [{ labels: {}, value: server.readiness.readyLately ? 1 : 0 }]);
      await server.listen();
      await server.listenUnix(`${parts.config.bootstrap.directory}/pilotfish.sock`);
    },
    stop: () => close(),
  };
}

async function statusDeps(parts: AgentParts, judge: () => Promise<unknown>) {
  const { config, log, envoy, admin, facts, metrics, onBug } = parts;
  const { serveMergedMetrics, serveOwnMetrics } = await import("../metrics/serve-metrics.ts");
  const { LastScrapes } = await import("../status/last-scrapes.ts");
  const scrapes = new LastScrapes(realClock);
  return {
    config,
    clock: realClock,
    log: log.scoped("status"),
    contributors: readinessContributors({
      clock: realClock,
      snapshot: () => envoy.snapshot(),
      admin,
      readinessListener: listenerOn(parts, config.ports.readiness),
      controlPlane: controlPlaneContributors({
        facts,
        snapshot: () => envoy.snapshot(),
        parts: parts.controlPlane,
        clock: realClock,
        tolerance: config.xds.tolerance,
      }),
    }),
    onVerdict: ({ ready }: Verdict) => {
      metrics.count("pilotfish_readiness_probes_total", { result: ready ? "ready" : "not_ready" });
    },
    ask: wishes(envoy, log),
    serveMetrics: afterReading(judge, serveOwnMetrics(metrics)),
    serveMerged: serveMergedMetrics({
      config,
      metrics,
      clock: realClock,
      log: log.scoped("metrics"),
      ownReading: () => atMost(Promise.all([envoy.beforeScrape(), judge()])),
      envoy: () => envoyStats(parts),
      onReport: (results) => scrapes.note(results),
    }),
    debugConfig: () => withoutSecrets(config),
    page: statusPage(parts, scrapes),
    onBug,
  };
}

/**
 * What we ourselves want from Envoy for a scrape's sake. Its statistics are read before the scraper reads them, never
 * after (EnvoyPort). Readiness is judged as well: a metric of it that waits for probes would stay as it was when those
 * no longer reach us, as through a listener of an Envoy that hangs. A scraper has little time: what comes later is
 * there for the next one.
 */
const OWN_READING: Millis = 200;
const atMost = (reading: Promise<unknown>): Promise<unknown> => within(realClock, OWN_READING, reading);

function afterReading(reading: () => Promise<unknown>, serve: Handler): Handler {
  return async (request, response) => {
    await atMost(reading());
    return serve(request, response);
  };
}

/** What callers of the pod may ask for, as events of the machine. */
function wishes(envoy: EnvoyPort, log: Log): Ask {
  return (wish) => {
    if (wish.ask === "hot-restart") {
      const { strategy, ignoreMemory, from } = wish;
      log.info("Asked over the control surface", { reason: "POST /hot-restart", from, strategy });
      const how = { cause: "POST /hot-restart", strategy, explicit: true, ignoreMemory };
      return { settled: askRestart(envoy, log, how) };
    }
    const reason = wish.ask === "quit" ? "POST /quitquitquit" : "POST /drain";
    log.info("Asked over the control surface", { reason, from: wish.from });
    if (wish.ask === "drain") envoy.post({ on: "drain", reason });
    else envoy.post({ on: "stop", reason, drain: wish.drain });
    return "accepted";
  };
}

/** Where a static listener on that port is reached from here; undefined when there is none. */
function listenerOn({ facts }: AgentParts, port: number): { readonly host: string; readonly port: number } | undefined {
  const at = facts.staticListeners
    .flatMap((one) => one.addresses)
    .find((one) => one.kind === "tcp" && one.port === port);
  if (at?.kind !== "tcp") return undefined;
  const host = at.host === "0.0.0.0" ? "127.0.0.1" : at.host === "::" ? "::1" : at.host;
  return { host, port };
}

/** Where Envoy's statistics are read; nothing while there is no Envoy. */
function envoyStats(parts: AgentParts): EnvoyStats | undefined {
  const { facts, config, envoy } = parts;
  if (config.envoy.disabled) return undefined;
  const admin = facts.admin === undefined ? undefined : envoy.adminTarget();
  const to = statsTarget(envoy.snapshot(), admin, listenerOn(parts, config.ports.prometheus));
  return to === undefined ? undefined : { to, path: "/stats/prometheus" };
}

/** The effective configuration for /debug/config: maps as objects, values of secret-sounding names left out. */
export function withoutSecrets(config: AgentConfig): JsonObject {
  const secret = /token|secret|password|private|pem$/i;
  const show = (name: string, value: unknown): unknown => {
    if (value instanceof Map) return Object.fromEntries([...value].map(([key, one]) => [key, show(String(key), one)]));
    const hidden = secret.test(name) && typeof value === "string" && value !== "";
    return hidden ? "(left out)" : value;
  };
  return JSON.parse(JSON.stringify(config, (name, value: unknown) => show(name, value))) as JsonObject;
}
