import type { Millis } from "../foundation/time.ts";
import type { Notices } from "./notices.ts";
import type { ProxyConfig } from "./proxy-config-types.ts";
import type { ProxyLayer } from "./proxy-layer.ts";
import { durationText, firstSet } from "./units.ts";

/** Where the parts of the proxy configuration come from, strongest first (features.md CLI-6). */
export interface ProxySources {
  readonly flag: ProxyLayer;
  /** Single annotations (discovery address, status port): they win over everything but a flag. */
  readonly pod: ProxyLayer;
  /** The annotation proxy.istio.io/config. */
  readonly annotation: ProxyLayer;
  /** PROXY_CONFIG, and what other variables say about the same fields. */
  readonly env: ProxyLayer;
  readonly mesh: ProxyLayer;
}

/** Defaults of Istio's ProxyConfig (features.md CLI-7). */
export const builtIn = {
  configPath: "./etc/istio/proxy",
  binaryPath: "/usr/local/bin/envoy",
  serviceCluster: "istio-proxy",
  drainDuration: 45_000,
  parentShutdownDuration: 60_000,
  terminationDrainDuration: 5_000,
  discoveryAddress: "istiod.istio-system.svc:15012",
  proxyAdminPort: 15_000,
  statusPort: 15_020,
  controlPlaneAuthPolicy: "MUTUAL_TLS",
  statNameLength: 189,
  fileFlushInterval: 1_000,
} as const;

/** What is merged but `raw`, which is made from the result. */
export type MergedProxy = Omit<ProxyConfig, "raw"> & {
  readonly maxConnections: number | undefined;
  /** terminationDrainDuration where some source sets it; the default is not a wish. */
  readonly terminationDrainAsked: Millis | undefined;
};

/** One expression a field, so that its precedence can be read here; lists are replaced, maps joined name by name. */
export function mergeProxyConfig(sources: ProxySources): MergedProxy {
  const { flag, pod, annotation, env, mesh } = sources;
  const layers = [flag, pod, annotation, env, mesh];
  const first = <K extends keyof ProxyLayer>(name: K): ProxyLayer[K] | undefined =>
    firstSet<ProxyLayer[K]>(flag[name], pod[name], annotation[name], env[name], mesh[name]);
  const naming = clusterNaming(layers);
  const drainDuration = first("drainDuration") ?? builtIn.drainDuration;
  return {
    configPath: first("configPath") ?? builtIn.configPath,
    binaryPath: first("binaryPath") ?? builtIn.binaryPath,
    serviceCluster: naming.serviceCluster ?? builtIn.serviceCluster,
    tracingServiceName: naming.tracingServiceName ?? "APP_LABEL_AND_NAMESPACE",
    drainDuration,
    parentShutdownDuration: first("parentShutdownDuration") ?? laterThan(drainDuration),
    terminationDrainDuration: first("terminationDrainDuration") ?? builtIn.terminationDrainDuration,
    discoveryAddress: first("discoveryAddress") ?? builtIn.discoveryAddress,
    proxyAdminPort: first("proxyAdminPort") ?? builtIn.proxyAdminPort,
    statusPort: first("statusPort") ?? builtIn.statusPort,
    controlPlaneAuthPolicy: first("controlPlaneAuthPolicy") ?? builtIn.controlPlaneAuthPolicy,
    concurrency: first("concurrency"),
    statNameLength: first("statNameLength") ?? builtIn.statNameLength,
    customConfigFile: first("customConfigFile"),
    proxyBootstrapTemplatePath: first("proxyBootstrapTemplatePath"),
    interceptionMode: first("interceptionMode"),
    tracing: first("tracing"),
    envoyAccessLogService: first("envoyAccessLogService"),
    envoyMetricsService: first("envoyMetricsService"),
    statsdUdpAddress: first("statsdUdpAddress"),
    proxyMetadata: joined(layers.map((layer) => layer.proxyMetadata)),
    extraStatTags: first("extraStatTags") ?? [],
    proxyStatsMatcher: first("proxyStatsMatcher") ?? noMatcher,
    runtimeValues: joined(layers.map((layer) => layer.runtimeValues)),
    holdApplicationUntilProxyStarts: first("holdApplicationUntilProxyStarts") ?? false,
    caCertificatesPem: first("caCertificatesPem") ?? [],
    meshId: first("meshId"),
    fileFlushInterval: first("fileFlushInterval") ?? builtIn.fileFlushInterval,
    fileFlushMinSizeKb: first("fileFlushMinSizeKb"),
    statsCompression: first("statsCompression") ?? true,
    maxConnections: first("maxConnections"),
    terminationDrainAsked: first("terminationDrainDuration"),
  };
}

const noMatcher = { inclusionPrefixes: [], inclusionSuffixes: [], inclusionRegexps: [] };

/** serviceCluster and tracingServiceName are one choice: the strongest source that names either decides. */
function clusterNaming(layers: readonly ProxyLayer[]): ProxyLayer {
  const decides = layers.find((one) => one.serviceCluster !== undefined || one.tracingServiceName !== undefined);
  return decides ?? {};
}

/** Where only the drain was set, the old Envoy must still outlive it: the default's distance of 15 s is kept. */
const laterThan = (drain: number): number =>
  Math.max(builtIn.parentShutdownDuration, drain + builtIn.parentShutdownDuration - builtIn.drainDuration);

/** Maps of all sources, a name of a stronger one beating that of a weaker. */
function joined(maps: readonly (ReadonlyMap<string, string> | undefined)[]): ReadonlyMap<string, string> {
  return new Map(maps.toReversed().flatMap((map) => [...(map ?? [])]));
}

/** What is legal field by field but not together, and what is accepted with a remark. */
export function judgeProxyConfig(
  proxy: MergedProxy,
  problem: (name: string, text: string) => void,
  notices: Notices,
): void {
  if (proxy.parentShutdownDuration <= proxy.drainDuration) {
    const [parent, drain] = [durationText(proxy.parentShutdownDuration), durationText(proxy.drainDuration)];
    problem("parentShutdownDuration", `${parent} is not longer than drainDuration ${drain}; make it longer`);
  }
  for (const name of ["drainDuration", "parentShutdownDuration"] as const) {
    if (proxy[name] % 1_000 === 0) continue;
    const seconds = Math.max(1, Math.round(proxy[name] / 1_000));
    notices.add(`${name} ${durationText(proxy[name])} becomes ${seconds}s: Envoy counts in whole seconds`);
  }
}
