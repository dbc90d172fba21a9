import type { AgentConfig, ScrapeTarget } from "../config/agent-config.ts";
import type { Millis } from "../foundation/time.ts";
import type { HttpTarget } from "../system/http-client.ts";

/** Somebody who is asked for metrics. */
export interface Source {
  /** Label `source` of our own metrics: `envoy`, `application:8080/metrics`. */
  readonly label: string;
  readonly type: "envoy" | "application";
  /** Tried one after the other while nobody listens there. */
  readonly targets: readonly HttpTarget[];
  /** Path with query. */
  readonly path: string;
  /** Longest body that is read, in bytes, after decompression. */
  readonly limit: number;
}

/** Where Envoy's statistics are served, for example 127.0.0.1:15090 and /stats/prometheus. */
export interface EnvoyStats {
  readonly to: HttpTarget;
  readonly path: string;
}

/** Envoy's page grows with the mesh; an application's beyond this is a mistake of its own. */
const ENVOY_LIMIT = 512 * 1024 * 1024;
const APPLICATION_LIMIT = 128 * 1024 * 1024;

/** Why this target is not asked, or undefined. Ports that are ours would make a loop or tell what is not for others. */
export function refusalOf({ port }: ScrapeTarget, { ports, mesh }: AgentConfig): string | undefined {
  const reserved: readonly (readonly [number | undefined, string])[] = [
    [ports.status, "our own status port: the page would ask for itself"],
    [ports.admin, "Envoy's admin"],
    [ports.prometheus, "Envoy's statistics, which are on the page already"],
    [ports.readiness, "the readiness listener"],
    [ports.secureMetrics, "a metrics listener of Envoy"],
    [ports.secureMergedMetrics, "a metrics listener of Envoy: the page would ask for itself"],
    [mesh.proxyListenPort, "Envoy's outbound capture port"],
    [mesh.proxyInboundListenPort, "Envoy's inbound capture port"],
    [15004, "reserved for the mesh"],
    [15008, "the tunnel port of the mesh"],
    [15053, "the DNS proxy"],
  ];
  const found = reserved.find(([one]) => one === port && port !== 0);
  return found === undefined ? undefined : `port ${port} is ${found[1]}`;
}

/** The sources of one scrape in the order in which they own their names. */
export function sourcesOf(config: AgentConfig, envoy: EnvoyStats | undefined, query: string): readonly Source[] {
  const stats = config.metrics.mergeEnvoy ? envoy : undefined;
  const hosts = config.envoy.families === "v6" ? ["::1", "127.0.0.1"] : ["127.0.0.1", "::1"];
  const applications = config.metrics.targets.filter((target) => refusalOf(target, config) === undefined);
  return [
    ...(stats === undefined ? [] : [ofEnvoy(stats, query)]),
    ...applications.map(({ port, path }) => ({
      label: `application:${port}${path}`,
      type: "application" as const,
      targets: hosts.map((host) => ({ host, port })),
      path,
      limit: APPLICATION_LIMIT,
    })),
  ];
}

function ofEnvoy({ to, path }: EnvoyStats, query: string): Source {
  const joined = query === "" ? path : `${path}${path.includes("?") ? "&" : "?"}${query}`;
  return { label: "envoy", type: "envoy", targets: [to], path: joined, limit: ENVOY_LIMIT };
}

export interface Limits {
  /** When the source must be done. */
  readonly deadline: Millis;
  /** When its answer must have begun. */
  readonly answerBy: Millis;
}

/**
 * The limits of each of `count` sources in ms after the scrape's start. All are asked at once and read in order; an
 * earlier one must leave each later one a tenth of the time (together at most half), and one that does not even begin
 * to answer leaves them half, so that a dead source costs nobody else.
 */
export function deadlines(count: number, budget: Millis): readonly Limits[] {
  const share = budget * Math.min(0.1, 0.5 / Math.max(1, count));
  return Array.from({ length: count }, (_, index) => {
    const deadline = budget - (count - 1 - index) * share;
    return { deadline, answerBy: index === count - 1 ? deadline : deadline / 2 };
  });
}

/** The status port ends every request after two minutes; the page must be done before that. */
const LONGEST: Millis = 110_000;

/** Time for a page out of the scraper's time-out: the rest is for the way to it. */
export function budgetOf(header: string | undefined): Millis {
  const seconds = Number(header);
  const timeout = Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds * 1000, LONGEST) : 10_000;
  return timeout - Math.min(500, timeout * 0.05);
}
