import type { Option } from "../command.ts";
import { logOptions } from "./log-options.ts";

/**
 * The flags of `proxy` and `bootstrap`: today's pilot-agent, pilot-agent 1.5 (most of which became fields of
 * ProxyConfig in 1.6), Envoy's own for a hand-written sidecar, and ours.
 */
const within = (group: string, options: readonly Option[]): readonly Option[] =>
  options.map((option) => ({ group, ...option }));

const identity = within("Who the proxy is", [
  {
    name: "domain",
    kind: "string",
    placeholder: "DOMAIN",
    default: "$POD_NAMESPACE.svc.cluster.local",
    summary: "DNS domain of the node's id.",
  },
  {
    name: "serviceCluster",
    kind: "string",
    placeholder: "NAME",
    default: "istio-proxy",
    summary: "Name of the node's cluster; `istio-proxy` or nothing derives it from label app, workload and namespace.",
  },
  { name: "id", kind: "string", placeholder: "ID", default: "$POD_NAME.$POD_NAMESPACE", summary: "The node's own id." },
  {
    name: "ip",
    kind: "string",
    placeholder: "ADDRESS",
    default: "$INSTANCE_IP",
    summary: "The proxy's main address.",
  },
  {
    name: "trust-domain",
    kind: "string",
    placeholder: "DOMAIN",
    env: "TRUST_DOMAIN",
    default: "cluster.local",
    summary: "Trust domain of the workload's SPIFFE identity.",
  },
  {
    name: "serviceregistry",
    kind: "string",
    placeholder: "NAME",
    default: "Kubernetes",
    summary: "Service registry that id and domain are derived for.",
    today: "accepted and ignored: id and domain are derived as for Kubernetes.",
  },
  {
    name: "pilotIdentity",
    kind: "string",
    placeholder: "NAME",
    summary: "Service account that the control plane runs as.",
    today: "accepted and ignored: the control plane is known by the name in its certificate (ISTIOD_SAN).",
  },
  {
    name: "mixerIdentity",
    kind: "string",
    placeholder: "NAME",
    summary: "Service account that Mixer runs as.",
    today: "accepted and ignored: there is no Mixer any more.",
  },
]);

const controlPlane = within("Control plane", [
  {
    name: "discoveryAddress",
    kind: "string",
    placeholder: "HOST:PORT",
    default: "istiod.istio-system.svc:15012",
    summary: "Where configuration and, unless CA_ADDR says otherwise, certificates come from.",
  },
  {
    name: "control-plane-tolerance",
    kind: "duration",
    summary:
      "How long a pod that had its configuration stays ready while the control plane is away; beats PILOTFISH_CONTROL_PLANE_TOLERANCE. For ever when neither says it.",
  },
  {
    name: "controlPlaneAuthPolicy",
    kind: "string",
    placeholder: "NONE|MUTUAL_TLS",
    default: "MUTUAL_TLS",
    summary: "How Envoy proves itself to the control plane.",
    today: "part of the node's metadata; the connection is TLS unless the port is 15010.",
  },
  {
    name: "connectTimeout",
    kind: "duration",
    default: "10s",
    summary: "How long Envoy waits for a connection to one of the bootstrap's own clusters.",
  },
  {
    name: "dnsRefreshRate",
    kind: "duration",
    default: "60s",
    summary: "How often Envoy looks up the names of the bootstrap's own clusters.",
  },
  {
    name: "meshConfig",
    kind: "string",
    placeholder: "FILE",
    default: "./etc/istio/config/mesh",
    summary: "Mesh configuration in YAML; a missing file is no error.",
  },
]);

const envoy = within("Envoy", [
  {
    name: "configPath",
    kind: "string",
    placeholder: "FOLDER",
    default: "./etc/istio/proxy",
    summary: "Where the bootstrap files and our sockets are.",
  },
  {
    name: "binaryPath",
    kind: "string",
    placeholder: "FILE",
    default: "/usr/local/bin/envoy",
    summary: "Envoy's binary; PILOTFISH_ENVOY beats it.",
  },
  {
    name: "concurrency",
    kind: "number",
    placeholder: "THREADS",
    default: "0",
    summary: "Envoy's worker threads; 0 takes ISTIO_CPU_LIMIT, and without that one a processor.",
  },
  {
    name: "proxyAdminPort",
    kind: "number",
    placeholder: "PORT",
    default: "15000",
    summary: "Envoy's admin, on loopback only.",
  },
  {
    name: "statusPort",
    kind: "number",
    placeholder: "PORT",
    default: "15020",
    summary: "Our own status server; 0 or less turns it off.",
  },
  {
    name: "proxyLogLevel",
    kind: "string",
    placeholder: "LEVEL",
    default: "warning",
    summary: "Envoy's log level, also with components: `info,misc:error,upstream:debug`.",
  },
  {
    name: "proxyComponentLogLevel",
    kind: "string",
    placeholder: "NAME:LEVEL,…",
    summary: "Log levels of single components, when --proxyLogLevel names none.",
  },
  {
    name: "templateFile",
    kind: "string",
    placeholder: "FILE",
    summary: "Bootstrap template instead of the built-in one.",
  },
  {
    name: "customConfigFile",
    short: "c",
    kind: "string",
    placeholder: "FILE",
    summary: "Envoy configuration that is used as it is.",
  },
  {
    name: "controlPlaneBootstrap",
    kind: "boolean",
    default: "false",
    summary: "Render --templateFile alone, as for a proxy in front of a control plane component.",
    today: "true counts only when it is given together with --templateFile.",
  },
  {
    name: "outlierLogPath",
    kind: "string",
    placeholder: "FILE",
    summary: "Where Envoy logs outlier ejections.",
  },
  {
    name: "disableInternalTelemetry",
    kind: "boolean",
    default: "false",
    summary: "Leaves out Envoy's own telemetry.",
    today: "accepted and ignored: telemetry is the control plane's configuration.",
  },
]);

const stopping = within("Restart and stop", [
  {
    name: "drainDuration",
    kind: "duration",
    default: "45s",
    summary: "How long the old Envoy keeps its connections during a hot restart, in whole seconds.",
  },
  {
    name: "parentShutdownDuration",
    kind: "duration",
    default: "60s",
    summary: "When the old Envoy ends at the latest; longer than --drainDuration.",
  },
  {
    name: "watch",
    kind: "string",
    placeholder: "WHAT",
    default: "none",
    summary:
      "What replaces Envoy by itself when it changes: `bootstrap` (whatever the bootstrap is made of), `binary`, or both with a comma between; beats PILOTFISH_WATCH.",
  },
  {
    name: "base-id",
    kind: "number",
    placeholder: "NUMBER",
    summary:
      "Envoy's base-id, its own for every proxy that shares a /dev/shm; beats PILOTFISH_BASE_ID. One is drawn when neither says it.",
  },
  {
    name: "probation",
    kind: "duration",
    default: "10s",
    summary: "How long a new Envoy proves itself beside the old one in a swap; beats PILOTFISH_PROBATION.",
  },
  {
    name: "termination-grace",
    kind: "duration",
    summary:
      "The pod's grace period, inside which the whole stop is planned; beats TERMINATION_GRACE_PERIOD. 30s when neither says it.",
  },
  {
    name: "min-drain",
    kind: "duration",
    default: "5s",
    summary:
      "How long a pod that was called from outside lately stays at least, until its callers have heard of the end.",
  },
]);

const tracing = within("Tracing and telemetry", [
  { name: "zipkinAddress", kind: "string", placeholder: "HOST:PORT", summary: "Zipkin collector." },
  {
    name: "lightstepAddress",
    kind: "string",
    placeholder: "HOST:PORT",
    summary: "Lightstep satellite.",
    today: "rendered as an OpenTelemetry collector at that address: Envoy has no Lightstep tracer any more.",
  },
  {
    name: "lightstepAccessToken",
    kind: "string",
    placeholder: "TOKEN",
    summary: "Access token for --lightstepAddress.",
    today: "sent as the header lightstep-access-token of the OpenTelemetry exporter.",
  },
  {
    name: "lightstepSecure",
    kind: "boolean",
    default: "false",
    summary: "TLS towards --lightstepAddress.",
    today: "TLS of the OpenTelemetry exporter.",
  },
  {
    name: "lightstepCacertPath",
    kind: "string",
    placeholder: "FILE",
    summary: "CA certificates for --lightstepSecure.",
    today: "CA certificates of the OpenTelemetry exporter.",
  },
  { name: "datadogAgentAddress", kind: "string", placeholder: "HOST:PORT", summary: "Datadog agent." },
  {
    name: "statsdUdpAddress",
    kind: "string",
    placeholder: "HOST:PORT",
    summary: "StatsD sink for Envoy's statistics.",
  },
  {
    name: "envoyMetricsService",
    kind: "string",
    placeholder: "JSON",
    summary: 'Metrics service, as `{"address":"HOST:PORT","tlsSettings":{…},"tcpKeepalive":{…}}`.',
  },
  {
    name: "envoyAccessLogService",
    kind: "string",
    placeholder: "JSON",
    summary: "Access log service, in the form of --envoyMetricsService.",
  },
]);

const handWritten = within("Envoy's own flags, for a sidecar that was written by hand", [
  {
    name: "config-path",
    kind: "string",
    placeholder: "FILE",
    summary: "The same as --customConfigFile (`-c`), under Envoy's name.",
  },
  {
    name: "service-cluster",
    kind: "string",
    placeholder: "NAME",
    summary: "The node's cluster, as it is; beats --serviceCluster.",
  },
  { name: "service-node", kind: "string", placeholder: "ID", summary: "The whole node id, as it is." },
  { name: "service-zone", kind: "string", placeholder: "ZONE", summary: "The node's zone." },
  {
    name: "log-level",
    short: "l",
    kind: "string",
    placeholder: "LEVEL",
    summary: "The same as --proxyLogLevel, under Envoy's name.",
  },
  {
    name: "component-log-level",
    kind: "string",
    placeholder: "NAME:LEVEL,…",
    summary: "The same as --proxyComponentLogLevel, under Envoy's name.",
  },
  {
    name: "drain-time-s",
    kind: "number",
    placeholder: "SECONDS",
    summary: "The same as --drainDuration, in seconds, under Envoy's name.",
  },
  {
    name: "parent-shutdown-time-s",
    kind: "number",
    placeholder: "SECONDS",
    summary: "The same as --parentShutdownDuration, in seconds, under Envoy's name.",
  },
]);

const gone = within("Accepted for old command lines", [
  {
    name: "stsPort",
    kind: "number",
    placeholder: "PORT",
    default: "0",
    summary: "Port of the security token service.",
    today: "only the node's metadata STS_PORT: Istio removed the service itself.",
  },
  {
    name: "tokenManagerPlugin",
    kind: "string",
    placeholder: "NAME",
    summary: "Plugin of the security token service.",
    today: "accepted and ignored: Istio removed the service.",
  },
  {
    name: "profiling",
    kind: "boolean",
    default: "true",
    summary: "Serves profiles below /debug of the status port, to loopback only.",
    today: "Go's pprof paths are /debug/heap and /debug/cpu here.",
  },
]);

export const proxyOptions: readonly Option[] = [
  ...identity,
  ...controlPlane,
  ...envoy,
  ...stopping,
  ...tracing,
  ...handWritten,
  ...gone,
  ...logOptions,
];
