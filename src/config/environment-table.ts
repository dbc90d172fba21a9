import { hotRestartVariables } from "./environment-table-hot-restart.ts";
import { identityVariables } from "./environment-table-identity.ts";
import type { Variable } from "./environment-variable.ts";

/** Who the pod is: injection fills these in from the downward API. */
const podVariables = {
  INSTANCE_IP: { kind: "text", summary: "The pod's main address; the first of the node's addresses." },
  POD_NAME: { kind: "text", summary: "The pod's name: the first half of the node's own id." },
  POD_NAMESPACE: { kind: "text", summary: "The pod's namespace." },
  SERVICE_ACCOUNT: { kind: "text", summary: "The pod's service account, part of the SPIFFE identity." },
  HOST_IP: { kind: "text", summary: "The node's address: what `$(HOST_IP)` in an override file stands for." },
  ISTIO_CPU_LIMIT: {
    kind: "integer",
    default: "0",
    summary:
      "CPU limit in whole processors, rounded up: Envoy's worker threads when nothing else sets them; 0 is no limit.",
  },
  TRUST_DOMAIN: { kind: "text", summary: "Trust domain; the flag --trust-domain beats it, it beats the mesh file." },
  PILOTFISH_LOCALITY: {
    kind: "text",
    summary: "`region/zone/subzone` when no label tells it; the label istio-locality beats it.",
  },
} as const satisfies Record<string, Variable>;

const configVariables = {
  PROXY_CONFIG: {
    kind: "json",
    summary:
      "ProxyConfig in JSON or YAML; the annotation proxy.istio.io/config and flags beat it, it beats the mesh file.",
  },
  ISTIO_BOOTSTRAP: {
    kind: "text",
    summary: "Bootstrap template; beats a custom configuration file and --templateFile.",
  },
  ISTIO_BOOTSTRAP_OVERRIDE: {
    kind: "text",
    summary: "YAML or JSON file that Envoy merges over the bootstrap; `$(HOST_IP)` in it is replaced.",
  },
  LOAD_STATS_CONFIG_JSON: { kind: "json", summary: "`load_stats_config` of the bootstrap's cluster manager." },
  ISTIO_DELTA_XDS: {
    kind: "boolean",
    default: "true",
    summary: "Incremental xDS; a waypoint always uses it.",
  },
  ISTIO_DUAL_STACK: {
    kind: "boolean",
    default: "false",
    summary: "Both address families when the pod has both; otherwise such a pod is treated as IPv4.",
  },
  ISTIO_KUBE_APP_PROBERS: { kind: "json", summary: "The application's probes as injection rewrote them." },
  ISTIO_ENABLE_HTTP2_PROBING: {
    kind: "boolean",
    default: "true",
    summary: "HTTP/2 is offered to the application's HTTPS probes.",
  },
  REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION: {
    kind: "boolean",
    default: "false",
    summary: "The application's probes are carried out on localhost instead of the pod's address.",
  },
  ENABLE_PROBE_KEEPALIVE_CONNECTIONS: {
    kind: "boolean",
    default: "false",
    summary: "Connections of the application's HTTP probes are kept for the next one.",
  },
  PILOTFISH_LOOPBACK_CONTROL: {
    kind: "boolean",
    default: "true",
    summary: "Callers on loopback may use what changes or reveals on the status port; false leaves the unix socket.",
  },
  ISTIO_PROMETHEUS_ANNOTATIONS: {
    kind: "json",
    summary:
      'Where the application\'s metrics are: `{"scrape":"true","path":"/metrics","port":"8080"}` or `targets`; sidecars only.',
  },
  PILOT_AGENT_MERGE_ENVOY_STATS: {
    kind: "boolean",
    default: "true",
    summary: "Envoy's statistics are part of /stats/prometheus on the status port.",
  },
  PEER_METADATA_DISCOVERY: {
    kind: "boolean",
    default: "false",
    summary: "Envoy's metadata discovery extension; always on for a waypoint. Needs Istio's build of Envoy.",
  },
  CLOUD_PLATFORM: {
    kind: "text",
    summary: "Forces the platform that is asked for its locality.",
    today: "accepted; platforms are not asked yet: locality comes from labels and the environment.",
  },
  GCP_METADATA: { kind: "text", summary: "What the GCP metadata server would say.", today: "accepted, not used yet." },
  GCP_ZONE: { kind: "text", summary: "The zone on GCP.", today: "accepted, not used yet." },
  GCP_QUOTA_PROJECT: { kind: "text", summary: "The project that pays on GCP.", today: "accepted, not used yet." },
  ISTIO_META_DNS_CAPTURE: {
    kind: "boolean",
    default: "false",
    summary: "The application's DNS queries are sent to 15053.",
    today: "true refuses to start: there is no DNS proxy yet, so the captured queries would go nowhere.",
  },
  ISTIO_META_ENABLE_DNS_SERVER: {
    kind: "boolean",
    default: "false",
    summary: "A DNS server on 15053 without capture.",
    today: "accepted, not used yet.",
  },
} as const satisfies Record<string, Variable>;

const envoyVariables = {
  PILOTFISH_ENVOY: { kind: "text", summary: "Envoy's binary; beats --binaryPath." },
  PILOTFISH_ISTIO_EXTENSIONS: {
    kind: "boolean",
    summary:
      "Whether that binary has Istio's own extensions; without it they are expected in Istio's image (ISTIO_META_ISTIO_PROXY_SHA is set and PILOTFISH_ENVOY is not).",
  },
  DISABLE_ENVOY: { kind: "boolean", default: "false", summary: "Everything runs but Envoy." },
  ENVOY_STATUS_PORT: { kind: "port", default: "15021", summary: "Envoy's listener for readiness." },
  ENVOY_PROMETHEUS_PORT: { kind: "port", default: "15090", summary: "Envoy's listener for its own statistics." },
  ENVOY_SECURE_METRICS_PORT: {
    kind: "port-or-off",
    default: "0",
    summary: "The same as ENVOY_PROMETHEUS_PORT with mutual TLS.",
  },
  ENVOY_SECURE_MERGED_METRICS_PORT: {
    kind: "port-or-off",
    default: "0",
    summary: "The merged metrics of the status port with mutual TLS.",
  },
  ENVOY_STATUS_PORT_ENABLE_PROXY_PROTOCOL: {
    kind: "boolean",
    default: "false",
    summary: "The readiness listener also takes the PROXY protocol.",
  },
  METRICS_LOCALHOST_ACCESS_ONLY: {
    kind: "boolean",
    default: "false",
    summary: "Envoy's statistics listener is reachable from inside the pod only.",
  },
  ENVOY_SKIP_DEPRECATED_LOGS: {
    kind: "boolean",
    default: "true",
    summary: "Envoy does not log the use of deprecated fields.",
  },
  ISTIO_ENVOY_ENABLE_CORE_DUMP: { kind: "boolean", default: "false", summary: "Envoy may write a core dump." },
  COMPLIANCE_POLICY: {
    kind: "choice",
    choices: ["fips-140-2", "fips-140-3", "pqc"],
    summary: "Restricts TLS.",
    today: "accepted, not enforced yet; one line at the start says so.",
  },
  TERMINATION_GRACE_PERIOD: {
    kind: "duration",
    summary:
      "The pod's terminationGracePeriodSeconds as a duration, written by the injector: the whole stop is planned inside it. --termination-grace beats it; without both it is Kubernetes' own 30s.",
  },
  MINIMUM_DRAIN_DURATION: {
    kind: "duration",
    default: "5s",
    summary: "How long to wait before connections are counted, with EXIT_ON_ZERO_ACTIVE_CONNECTIONS.",
  },
  EXIT_ON_ZERO_ACTIVE_CONNECTIONS: {
    kind: "boolean",
    default: "false",
    summary: "A stopping proxy waits for its last connection, not only for terminationDrainDuration.",
  },
  TERMINATION_DRAIN_DURATION_SECONDS: {
    kind: "integer",
    summary: "terminationDrainDuration in seconds, as pilot-agent 1.5 had it; any ProxyConfig beats it.",
  },
} as const satisfies Record<string, Variable>;

/** Every variable that configuration is read from, by group, in the order of docs/environment.md. */
export const environmentGroups = {
  "The pod": podVariables,
  "Proxy and bootstrap": configVariables,
  "Envoy and its listeners": envoyVariables,
  "Hot restart": hotRestartVariables,
  "Certificates and the control plane": identityVariables,
} as const;

export const environmentTable = {
  ...podVariables,
  ...configVariables,
  ...envoyVariables,
  ...hotRestartVariables,
  ...identityVariables,
} as const;

/** Names that begin with one of these are read too, whatever follows. */
export const environmentPrefixes: readonly (readonly [prefix: string, summary: string])[] = [
  [
    "ISTIO_META_",
    "`ISTIO_META_X=v` becomes `X` of the node's metadata. Beats the same name in ProxyConfig's proxyMetadata.",
  ],
  [
    "ISTIO_METAJSON_",
    "A JSON object, whose fields become fields of the node's metadata; of ISTIO_METAJSON_LABELS also labels.",
  ],
  ["XDS_HEADER_", "`XDS_HEADER_X=v` sends the header `x: v` with every stream to the control plane."],
  ["CA_HEADER_", "`CA_HEADER_X=v` sends the header `x: v` with every certificate request."],
];

/** Read by the launcher `bin/pilotfish` and by single commands, not by the configuration. */
export const launcherVariables: readonly (readonly [name: string, summary: string])[] = [
  ["PILOTFISH_NODE", "The Node.js that runs pilotfish; without it the one beside the program, then the one on PATH."],
  ["MALLOC_ARENA_MAX", "Set to 1 for pilotfish alone unless you set it; Envoy and hooks don't inherit ours."],
  ["MALLOC_TRIM_THRESHOLD_", "Set to 65536 for pilotfish alone unless you set it; Envoy and hooks don't inherit ours."],
  ["PILOTFISH_TUNING", "Written by the launcher: which of the two above it set."],
  [
    "PILOTFISH_OPEN_FILES",
    "Written by the launcher for `wait`: the soft limit of open files before Node raised it; the command gets it back.",
  ],
];
