import type { Millis } from "../foundation/time.ts";
import type { IdentitySettings, XdsSettings } from "./identity-settings.ts";
import type { ProxyConfig } from "./proxy-config-types.ts";

/**
 * Everything that later stages know: read-only, complete, checked. Built once, from flags, environment, mesh file,
 * pod information and PROXY_CONFIG; nothing listens and nothing is started before it is whole.
 * All durations are milliseconds, all sizes bytes, all ports 1..65535 (0 or undefined where "off" is allowed).
 */
export interface AgentConfig {
  /** `proxy [sidecar|router|waypoint]`. */
  readonly role: Role;
  readonly node: NodeIdentity;
  /** The effective proxy configuration after CLI-6's merge. */
  readonly proxy: ProxyConfig;
  readonly mesh: MeshSettings;
  readonly ports: Ports;
  readonly envoy: EnvoySettings;
  readonly bootstrap: BootstrapSource;
  readonly log: LogSettings;
  readonly metrics: MetricsSettings;
  readonly stop: StopSettings;
  readonly identity: IdentitySettings;
  readonly xds: XdsSettings;
  /** When and how Envoy is replaced; nothing is watched and everything has its default where it is absent. */
  readonly hotRestart?: HotRestartSettings;
  /** --profiling: profiles below /debug of the status server. */
  readonly profiling: boolean;
  /** Raw text of ISTIO_KUBE_APP_PROBERS; read by the part that serves application probes. */
  readonly appProbers: string | undefined;
  /** PILOTFISH_LOOPBACK_CONTROL: false leaves only the unix socket for what changes or reveals. Default true. */
  readonly loopbackControl?: boolean;
  /** How the application's probes are carried out; the defaults where it is absent. */
  readonly probes?: ProbeSettings;
  /** One sentence for each thing that was accepted but does nothing (yet); logged once at the start. */
  readonly notices: readonly string[];
}

export interface ProbeSettings {
  /** ISTIO_ENABLE_HTTP2_PROBING: offer HTTP/2 to HTTPS probes. Default true. */
  readonly http2: boolean;
  /** REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION: ask localhost instead of the pod's address. Default false. */
  readonly legacyLocalhost: boolean;
  /** ENABLE_PROBE_KEEPALIVE_CONNECTIONS. Default false. */
  readonly keepAlive: boolean;
}

export interface HotRestartSettings {
  /** --watch: what replaces Envoy by itself when it changes. */
  readonly watch: readonly Watched[];
  /** --base-id; undefined: one is drawn. */
  readonly baseId: number | undefined;
  /** --probation: how long both Envoys of a swap serve before the old one goes. */
  readonly probation: Millis;
  /** PILOTFISH_IGNORE_MEMORY: the memory's head-room is not asked for. */
  readonly ignoreMemory: boolean;
}

/** `bootstrap`: everything that the bootstrap is made of. */
export type Watched = "bootstrap" | "binary";

export type Role = "sidecar" | "router" | "waypoint";

/** Who we are towards the control plane: `type~ip~id~domain` and the metadata that istiod reads (features.md 3.5). */
export interface NodeIdentity {
  readonly type: Role;
  /** `POD_NAME.POD_NAMESPACE`, or --id. */
  readonly id: string;
  /** The whole node id: `sidecar~10.0.0.1~pod.ns~ns.svc.cluster.local`; --service-node replaces it. */
  readonly nodeId: string;
  /** Envoy's --service-cluster and the node's cluster. */
  readonly cluster: string;
  /** All addresses of the pod, the first is the main one. At least one. */
  readonly ipAddresses: readonly string[];
  readonly podName: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly workloadName: string;
  /** DNS domain: --domain or `NS.svc.cluster.local`. */
  readonly domain: string;
  readonly trustDomain: string;
  readonly clusterId: string;
  readonly locality: Locality | undefined;
  /** HOST_IP: the node's address, for `$(HOST_IP)` in override files. */
  readonly hostIp: string | undefined;
  readonly labels: ReadonlyMap<string, string>;
  readonly annotations: ReadonlyMap<string, string>;
  /** The complete `node.metadata` of the bootstrap. */
  readonly metadata: JsonObject;
}

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

export interface MeshSettings {
  readonly proxyListenPort: number;
  readonly proxyInboundListenPort: number;
  readonly connectTimeout: Millis;
  readonly dnsRefreshRate: Millis;
  readonly enablePrometheusMerge: boolean;
  readonly trustDomain: string;
}

export interface Ports {
  /** Envoy's admin, loopback only. */
  readonly admin: number;
  /** Our status server; undefined when it is turned off (negative --statusPort). */
  readonly status: number | undefined;
  /** Envoy's listener for the kubelet, 15021. */
  readonly readiness: number;
  /** Envoy's listener for its own statistics, 15090. */
  readonly prometheus: number;
  /** mTLS listeners, 0 is off. */
  readonly secureMetrics: number;
  readonly secureMergedMetrics: number;
}

export type IpFamilies = "v4" | "v6" | "dual";

export interface EnvoySettings {
  /** DISABLE_ENVOY: everything runs but Envoy. */
  readonly disabled: boolean;
  /** PILOTFISH_ENVOY beats --binaryPath. */
  readonly binaryPath: string;
  /** Worker threads; undefined leaves it to Envoy (one a processor). */
  readonly concurrency: number | undefined;
  /** `warning`, or the level of `warning,misc:error`. */
  readonly logLevel: string;
  /** `misc:error,…` or undefined. */
  readonly componentLogLevel: string | undefined;
  readonly skipDeprecatedLogs: boolean;
  readonly enableCoreDump: boolean;
  readonly fileFlushInterval: Millis;
  readonly fileFlushMinSizeKb: number | undefined;
  /** Address families of the pod, which say what our listeners bind and how names are looked up. */
  readonly families: IpFamilies;
  /** ISTIO_DUAL_STACK. */
  readonly dualStack: boolean;
  /** --drain-time-s, at least 1 s. */
  readonly drainTime: Millis;
  readonly parentShutdownTime: Millis;
  /** Further arguments for Envoy that seed 001's manual sidecar brings (--service-cluster, --service-node, …). */
  readonly extraArguments: readonly string[];
}

/** Where the bootstrap comes from (features.md BOOT-1, BOOT-3). */
export interface BootstrapSource {
  /** `template`: rendered by us. `custom`: the user's file, handed to Envoy as it is. */
  readonly kind: "template" | "custom";
  /** Template: path, undefined for the built-in one. Custom: the user's file. */
  readonly path: string | undefined;
  /** ISTIO_BOOTSTRAP_OVERRIDE: a YAML or JSON file that Envoy merges over the bootstrap. */
  readonly overridePath: string | undefined;
  /** Directory for envoy-rev<epoch>.json and for our sockets. */
  readonly directory: string;
  /** --outlierLogPath. */
  readonly outlierLogPath: string | undefined;
  /** ISTIO_DELTA_XDS. */
  readonly deltaXds: boolean;
  /** Maximum of downstream connections, undefined is no limit of ours. */
  readonly maxConnections: number | undefined;
  /** ENVOY_STATUS_PORT_ENABLE_PROXY_PROTOCOL. */
  readonly statusProxyProtocol: boolean;
  /** METRICS_LOCALHOST_ACCESS_ONLY. */
  readonly metricsLocalhostOnly: boolean;
  /** The binary has Istio's own extensions (proxyv2), so that they may be rendered. */
  readonly istioExtensions: boolean;
  /** --controlPlaneBootstrap with a template file: render that template alone (features.md CLI-5). */
  readonly controlPlane: boolean;
  /** LOAD_STATS_CONFIG_JSON (features.md BOOT-16). */
  readonly loadStatsConfig: JsonObject | undefined;
}

export interface LogSettings {
  /** --log_as_json: ours and Envoy's, in one shape. */
  readonly json: boolean;
  /** `default:info,xdsproxy:debug`; "all" sets every scope. */
  readonly levels: ReadonlyMap<string, "debug" | "info" | "warn" | "error" | "none">;
}

export interface MetricsSettings {
  /** Merge Envoy's statistics into /stats/prometheus (PILOT_AGENT_MERGE_ENVOY_STATS). */
  readonly mergeEnvoy: boolean;
  /** ISTIO_PROMETHEUS_ANNOTATIONS, parsed and checked, each once; empty when the application is not scraped. */
  readonly targets: readonly ScrapeTarget[];
}

export interface ScrapeTarget {
  readonly port: number;
  /** Begins with "/". */
  readonly path: string;
}

export interface StopSettings {
  /** The pod's grace period: --termination-grace, TERMINATION_GRACE_PERIOD, or Kubernetes' own 30 s. */
  readonly grace: Millis;
  /** How long connections may take to end, at most; undefined when nobody set it: then the grace decides. */
  readonly terminationDrain: Millis | undefined;
  /** Envoy closes its listeners so long after it was told to drain (drainDuration). */
  readonly envoyDrain: Millis;
  /** --min-drain: how long a pod stays that was called from outside lately. */
  readonly minDrain: Millis;
  /** MINIMUM_DRAIN_DURATION, only with exitOnZeroConnections. */
  readonly minimumDrain: Millis;
  /** EXIT_ON_ZERO_ACTIVE_CONNECTIONS. */
  readonly exitOnZeroConnections: boolean;
}

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}
