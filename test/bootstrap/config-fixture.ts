import type {
  AgentConfig,
  BootstrapSource,
  EnvoySettings,
  JsonObject,
  NodeIdentity,
  Ports,
} from "../../src/config/agent-config.ts";
import type { ProxyConfig } from "../../src/config/proxy-config-types.ts";

/** Parts of a configuration that a test sets; the rest is what a plain sidecar has. */
export interface Wanted {
  readonly role?: AgentConfig["role"];
  readonly node?: Partial<NodeIdentity>;
  readonly proxy?: Partial<ProxyConfig>;
  readonly mesh?: Partial<AgentConfig["mesh"]>;
  readonly ports?: Partial<Ports>;
  readonly envoy?: Partial<EnvoySettings>;
  readonly bootstrap?: Partial<BootstrapSource>;
  readonly stop?: Partial<AgentConfig["stop"]>;
}

/** A whole configuration, as a sidecar of `productpage-1.shop` at 10.0.0.1 has it. */
export function configFixture(wanted: Wanted = {}): AgentConfig {
  const role = wanted.role ?? "sidecar";
  return {
    role,
    node: { ...plainNode(role), ...wanted.node },
    proxy: { ...plainProxy(), ...wanted.proxy },
    mesh: {
      proxyListenPort: 15001,
      proxyInboundListenPort: 15006,
      connectTimeout: 10_000,
      dnsRefreshRate: 60_000,
      enablePrometheusMerge: true,
      trustDomain: "cluster.local",
      ...wanted.mesh,
    },
    ports: {
      admin: 15000,
      status: 15020,
      readiness: 15021,
      prometheus: 15090,
      secureMetrics: 0,
      secureMergedMetrics: 0,
      ...wanted.ports,
    },
    envoy: {
      disabled: false,
      binaryPath: "/usr/local/bin/envoy",
      concurrency: 2,
      logLevel: "warning",
      componentLogLevel: undefined,
      skipDeprecatedLogs: true,
      enableCoreDump: false,
      fileFlushInterval: 1_000,
      fileFlushMinSizeKb: undefined,
      families: "v4",
      dualStack: false,
      drainTime: 45_000,
      parentShutdownTime: 60_000,
      extraArguments: [],
      ...wanted.envoy,
    },
    bootstrap: {
      kind: "template",
      path: undefined,
      overridePath: undefined,
      directory: "./etc/istio/proxy",
      outlierLogPath: undefined,
      deltaXds: true,
      maxConnections: undefined,
      statusProxyProtocol: false,
      metricsLocalhostOnly: false,
      istioExtensions: false,
      controlPlane: false,
      loadStatsConfig: undefined,
      ...wanted.bootstrap,
    },
    log: { json: false, levels: new Map() },
    metrics: { mergeEnvoy: true, targets: [] },
    appProbers: undefined,
    stop: {
      terminationDrain: 5_000,
      minDrain: 5_000,
      minimumDrain: 5_000,
      exitOnZeroConnections: false,
      ...wanted.stop,
    },
    notices: [],
  };
}

function plainNode(role: AgentConfig["role"]): NodeIdentity {
  return {
    type: role,
    id: "productpage-1.shop",
    nodeId: `${role}~10.0.0.1~productpage-1.shop~shop.svc.cluster.local`,
    cluster: "productpage.shop",
    ipAddresses: ["10.0.0.1"],
    podName: "productpage-1",
    namespace: "shop",
    serviceAccount: "bookinfo-productpage",
    workloadName: "productpage",
    domain: "shop.svc.cluster.local",
    trustDomain: "cluster.local",
    clusterId: "Kubernetes",
    locality: undefined,
    hostIp: "192.0.2.7",
    labels: new Map([["app", "productpage"]]),
    annotations: new Map(),
    metadata: { NAMESPACE: "shop", LABELS: { app: "productpage" }, INSTANCE_IPS: "10.0.0.1" },
  };
}

function plainProxy(): ProxyConfig {
  return {
    configPath: "./etc/istio/proxy",
    binaryPath: "/usr/local/bin/envoy",
    serviceCluster: "istio-proxy",
    drainDuration: 45_000,
    parentShutdownDuration: 60_000,
    terminationDrainDuration: 5_000,
    discoveryAddress: "istiod.istio-system.svc:15012",
    proxyAdminPort: 15000,
    statusPort: 15020,
    controlPlaneAuthPolicy: "MUTUAL_TLS",
    concurrency: 2,
    statNameLength: 189,
    customConfigFile: undefined,
    proxyBootstrapTemplatePath: undefined,
    interceptionMode: undefined,
    tracing: undefined,
    tracingServiceName: "APP_LABEL_AND_NAMESPACE",
    envoyAccessLogService: undefined,
    envoyMetricsService: undefined,
    statsdUdpAddress: undefined,
    proxyMetadata: new Map(),
    extraStatTags: [],
    proxyStatsMatcher: { inclusionPrefixes: [], inclusionSuffixes: [], inclusionRegexps: [] },
    runtimeValues: new Map(),
    holdApplicationUntilProxyStarts: false,
    caCertificatesPem: [],
    meshId: undefined,
    fileFlushInterval: 1_000,
    fileFlushMinSizeKb: undefined,
    statsCompression: true,
    raw: {} satisfies JsonObject,
  };
}
