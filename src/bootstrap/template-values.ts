import type { AgentConfig, Json, JsonObject, Role } from "../config/agent-config.ts";
import type { Problems } from "../foundation/problems.ts";
import { isIPv6 } from "./host-port.ts";
import { type RemoteCluster, remoteClusters, statsdAddress, tracerMetadata } from "./remote-clusters.ts";
import { runtimeValues } from "./runtime-values.ts";
import { type StatsValues, statsValues } from "./stats-values.ts";
import type { UserChoices } from "./user-choices.ts";

/**
 * The names that a template may use, all of them, always (docs/bootstrap.md lists them for users). What is absent is
 * null, never missing: a missing name is a typing error of the template.
 */
export interface TemplateValues {
  readonly role: Role;
  readonly node: {
    readonly id: string;
    readonly type: string;
    readonly cluster: string;
    readonly locality: JsonObject | null;
    readonly metadata: JsonObject;
  };
  readonly pod: {
    readonly name: string;
    readonly namespace: string;
    readonly serviceAccount: string;
    readonly workload: string;
    readonly ip: string;
    readonly ips: readonly string[];
    readonly domain: string;
    readonly trustDomain: string;
    readonly clusterId: string;
    readonly hostIp: string | null;
    readonly labels: JsonObject;
    readonly annotations: JsonObject;
  };
  /** Loopback and wildcard of the main family; the lists also have the second family with dual stack. */
  readonly localhost: string;
  readonly wildcard: string;
  readonly loopbacks: readonly string[];
  readonly wildcards: readonly string[];
  readonly dnsLookupFamily: "V4_ONLY" | "V6_ONLY" | "ALL";
  readonly dnsRefreshRate: string;
  readonly connectTimeout: string;
  readonly discoveryAddress: string;
  readonly configPath: string;
  readonly ports: { readonly [name: string]: number | null };
  readonly sockets: {
    readonly xds: string;
    readonly sds: string;
    readonly sdsFiles: string | null;
    readonly sdsExternal: string | null;
  };
  readonly xdsApiType: "GRPC" | "DELTA_GRPC";
  readonly runtime: JsonObject;
  readonly stats: StatsValues;
  readonly services: readonly RemoteCluster[];
  readonly tracer: "zipkin" | "datadog" | "opentelemetry" | null;
  readonly tracerMetadata: readonly { readonly key: string; readonly value: string }[];
  readonly metricsService: boolean;
  readonly statsd: { readonly host: string; readonly port: number } | null;
  readonly maxConnections: number;
  readonly outlierLogPath: string | null;
  readonly loadStatsConfig: JsonObject | null;
  readonly metadataDiscovery: boolean;
  readonly selfDiscovery: boolean;
  readonly metricsLocalhostOnly: boolean;
  readonly statusProxyProtocol: boolean;
}

/** Istio's: the limit that counts as none. */
const NO_LIMIT = 2_147_483_647;
const CREDENTIALS = "./var/run/secrets/credential-uds";

/** Everything that the templates need, from the configuration; what can't be used goes into `problems`. */
export function templateValues(config: AgentConfig, user: UserChoices, problems: Problems): TemplateValues {
  const { node, proxy, bootstrap, mesh } = config;
  const metadata = node.metadata;
  const waypoint = config.role === "waypoint";
  return {
    role: config.role,
    node: { id: node.nodeId, type: node.type, cluster: node.cluster, locality: locality(config), metadata },
    pod: podValues(config),
    ...addresses(config),
    dnsRefreshRate: seconds(mesh.dnsRefreshRate),
    connectTimeout: seconds(mesh.connectTimeout),
    discoveryAddress: proxy.discoveryAddress,
    configPath: bootstrap.directory,
    ports: portValues(config),
    sockets: {
      xds: `${bootstrap.directory}/XDS`,
      sds: `./var/run/secrets/workload-spiffe-uds/${config.identity.workloadSocketFile}`,
      sdsFiles: isTrue(metadata["file-credential"]) ? `${CREDENTIALS}/files-socket` : null,
      sdsExternal: isTrue(metadata["credential"]) ? `${CREDENTIALS}/socket` : null,
    },
    // A waypoint speaks delta whatever ISTIO_DELTA_XDS says, as with the peer.
    xdsApiType: bootstrap.deltaXds || waypoint ? "DELTA_GRPC" : "GRPC",
    runtime: runtimeValues(proxy.runtimeValues),
    stats: statsValues(config, user, problems),
    services: remoteClusters(config, problems),
    tracer: proxy.tracing?.kind ?? null,
    tracerMetadata: tracerMetadata(proxy.tracing, problems),
    metricsService: proxy.envoyMetricsService !== undefined,
    statsd: statsdAddress(proxy.statsdUdpAddress, user.resolved, problems) ?? null,
    maxConnections: maxConnections(config),
    outlierLogPath: bootstrap.outlierLogPath ?? null,
    loadStatsConfig: bootstrap.loadStatsConfig ?? null,
    metadataDiscovery: bootstrap.istioExtensions && (waypoint || isTrue(metadata["METADATA_DISCOVERY"])),
    selfDiscovery: isTrue(metadata["ENABLE_SELF_DISCOVERY"]),
    metricsLocalhostOnly: bootstrap.metricsLocalhostOnly,
    statusProxyProtocol: bootstrap.statusProxyProtocol,
  };
}

/** Of two families the one of the first address leads; without ISTIO_DUAL_STACK a pod with both is an IPv4 pod. */
function addresses(
  config: AgentConfig,
): Pick<TemplateValues, "localhost" | "wildcard" | "loopbacks" | "wildcards" | "dnsLookupFamily"> {
  const { families, dualStack } = config.envoy;
  const both = families === "dual" && dualStack;
  const v6 = families === "v6" || (both && isIPv6(config.node.ipAddresses[0] ?? ""));
  const [localhost, wildcard] = v6 ? ["::1", "::"] : ["127.0.0.1", "0.0.0.0"];
  const [otherLocalhost, otherWildcard] = v6 ? ["127.0.0.1", "0.0.0.0"] : ["::1", "::"];
  return {
    localhost,
    wildcard,
    loopbacks: both ? [localhost, otherLocalhost] : [localhost],
    wildcards: both ? [wildcard, otherWildcard] : [wildcard],
    dnsLookupFamily: both ? "ALL" : v6 ? "V6_ONLY" : "V4_ONLY",
  };
}

function podValues({ node }: AgentConfig): TemplateValues["pod"] {
  return {
    name: node.podName,
    namespace: node.namespace,
    serviceAccount: node.serviceAccount,
    workload: node.workloadName,
    ip: node.ipAddresses[0] ?? "",
    ips: node.ipAddresses,
    domain: node.domain,
    trustDomain: node.trustDomain,
    clusterId: node.clusterId,
    hostIp: node.hostIp ?? null,
    labels: Object.fromEntries(node.labels),
    annotations: Object.fromEntries(node.annotations),
  };
}

function portValues({ ports, mesh }: AgentConfig): TemplateValues["ports"] {
  return {
    admin: ports.admin,
    status: ports.status ?? null,
    readiness: ports.readiness,
    prometheus: ports.prometheus,
    secureMetrics: ports.secureMetrics,
    secureMergedMetrics: ports.secureMergedMetrics,
    outbound: mesh.proxyListenPort,
    inbound: mesh.proxyInboundListenPort,
  };
}

function locality({ node }: AgentConfig): JsonObject | null {
  if (node.locality === undefined) return null;
  const { region, zone, subZone } = node.locality;
  const parts = Object.entries({ region, zone, sub_zone: subZone }).filter(([, value]) => value !== "");
  return parts.length === 0 ? null : Object.fromEntries(parts);
}

/** BOOT-13: our setting, else the runtime key that Envoy had for it before the overload manager took it over. */
function maxConnections({ bootstrap, proxy }: AgentConfig): number {
  if (bootstrap.maxConnections !== undefined) return bootstrap.maxConnections;
  const asked = Number(proxy.runtimeValues.get("overload.global_downstream_max_connections"));
  return Number.isSafeInteger(asked) && asked > 0 ? asked : NO_LIMIT;
}

/** protobuf's Duration as JSON: `1.5s`. */
const seconds = (millis: number): string => `${millis / 1_000}s`;

const isTrue = (value: Json | undefined): boolean => value === true || value === "true";
