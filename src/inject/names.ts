/** Names that injection writes or reads; Istio's where Istio has one, so that existing manifests and tools fit. */

export const proxyName = "istio-proxy";
export const initName = "istio-init";
/** The init container beside a CNI plugin: it checks the rules and sets none. */
export const validationName = "istio-validation";

export const labels = {
  /** Istio's: who wants a sidecar. We set it to "false" on an injected pod, so that istiod's injector leaves it. */
  inject: "sidecar.istio.io/inject",
  /** Ours: beats Istio's label and annotation, and means us alone. */
  ourInject: "pilotfish.dev/inject",
  /** Ours: this pod has been injected by us. */
  injected: "pilotfish.dev/injected",
  tlsMode: "security.istio.io/tlsMode",
  canonicalName: "service.istio.io/canonical-name",
  canonicalRevision: "service.istio.io/canonical-revision",
} as const;

/** Namespace label that selects our webhook whatever istiod does. */
export const namespaceLabel = "pilotfish.dev/injection";

export const annotations = {
  inject: "sidecar.istio.io/inject",
  status: "sidecar.istio.io/status",
  nativeSidecar: "sidecar.istio.io/nativeSidecar",
  proxyConfig: "proxy.istio.io/config",
  revision: "istio.io/rev",
  templates: "inject.istio.io/templates",
  interceptionMode: "sidecar.istio.io/interceptionMode",
  statusPort: "status.sidecar.istio.io/port",
  image: "sidecar.istio.io/proxyImage",
  logLevel: "sidecar.istio.io/logLevel",
  agentLogLevel: "sidecar.istio.io/agentLogLevel",
  componentLogLevel: "sidecar.istio.io/componentLogLevel",
  cpu: "sidecar.istio.io/proxyCPU",
  cpuLimit: "sidecar.istio.io/proxyCPULimit",
  memory: "sidecar.istio.io/proxyMemory",
  memoryLimit: "sidecar.istio.io/proxyMemoryLimit",
  rewriteProbes: "sidecar.istio.io/rewriteAppHTTPProbers",
  userVolume: "sidecar.istio.io/userVolume",
  userVolumeMount: "sidecar.istio.io/userVolumeMount",
  bootstrapOverride: "sidecar.istio.io/bootstrapOverride",
  coreDump: "sidecar.istio.io/enableCoreDump",
  includeOutboundIPRanges: "traffic.sidecar.istio.io/includeOutboundIPRanges",
  excludeOutboundIPRanges: "traffic.sidecar.istio.io/excludeOutboundIPRanges",
  includeInboundPorts: "traffic.sidecar.istio.io/includeInboundPorts",
  excludeInboundPorts: "traffic.sidecar.istio.io/excludeInboundPorts",
  includeOutboundPorts: "traffic.sidecar.istio.io/includeOutboundPorts",
  excludeOutboundPorts: "traffic.sidecar.istio.io/excludeOutboundPorts",
  excludeInterfaces: "traffic.sidecar.istio.io/excludeInterfaces",
  kubevirtInterfaces: "traffic.sidecar.istio.io/kubevirtInterfaces",
  virtualInterfaces: "istio.io/reroute-virtual-interfaces",
  readinessDelay: "readiness.status.sidecar.istio.io/initialDelaySeconds",
  readinessPeriod: "readiness.status.sidecar.istio.io/periodSeconds",
  readinessFailures: "readiness.status.sidecar.istio.io/failureThreshold",
  mergeMetrics: "prometheus.istio.io/merge-metrics",
  scrapeTargets: "prometheus.istio.io/scrape-targets",
  scrape: "prometheus.io/scrape",
  scrapePort: "prometheus.io/port",
  scrapePath: "prometheus.io/path",
  defaultContainer: "kubectl.kubernetes.io/default-container",
  defaultLogsContainer: "kubectl.kubernetes.io/default-logs-container",
} as const;

/** Istio annotations that are no business of an injector, or that the proxy reads by itself from the pod. */
const readByOthers: ReadonlySet<string> = new Set([
  "sidecar.istio.io/discoveryAddress",
  "sidecar.istio.io/extraStatTags",
  "sidecar.istio.io/statsHistogramBuckets",
  "sidecar.istio.io/statsInclusionPrefixes",
  "sidecar.istio.io/statsInclusionRegexps",
  "sidecar.istio.io/statsInclusionSuffixes",
  "sidecar.istio.io/statsCompression",
  "sidecar.istio.io/controlPlaneAuthPolicy",
]);

/** Istio's, known, and without effect here: worth a word. */
export const withoutEffect: Readonly<Record<string, string>> = {
  "sidecar.istio.io/proxyImageType": "our image has one variant only",
  "proxy.istio.io/overrides": "the user's own istio-proxy container is kept in the injection record",
  "readiness.status.sidecar.istio.io/applicationPorts": "Istio itself no longer reads it",
};

const othersPrefixes = [
  "ambient.istio.io/",
  "gateway.istio.io/",
  "install.operator.istio.io/",
  "networking.istio.io/",
  "security.istio.io/",
  "service.istio.io/",
  "telemetry.istio.io/",
  "topology.istio.io/",
];

const readHere: ReadonlySet<string> = new Set(Object.values(annotations));

/** Whether somebody in a mesh reads an annotation of this name; true for every name that is not Istio's. */
export function isKnownAnnotation(name: string): boolean {
  if (!/(^|\.)istio\.io\//.test(name)) return true;
  return (
    readHere.has(name) ||
    readByOthers.has(name) ||
    Object.hasOwn(withoutEffect, name) ||
    othersPrefixes.some((prefix) => name.startsWith(prefix)) ||
    name.startsWith("istio.io/")
  );
}
