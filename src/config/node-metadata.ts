import type { Json, JsonObject, Ports } from "./agent-config.ts";
import type { EnvironmentReader } from "./environment-reader.ts";
import type { Notices } from "./notices.ts";
import { isObject } from "./object-reader.ts";
import { withoutUndefined } from "./raw-proxy-config.ts";
import { readJson } from "./structured-text.ts";

/**
 * The version of Istio whose agent we stand in for, told to the control plane unless ISTIO_META_ISTIO_VERSION says
 * another: istiod adapts its configuration to it, and without one takes the newest.
 */
export const PEER_VERSION = "1.32.0";

/** What the environment alone says about the node (features.md BOOT-5). */
export interface EnvironmentMetadata {
  /** Fields by the names after the prefix; those of ISTIO_METAJSON_* keep their types. */
  readonly fields: JsonObject;
  /** ISTIO_METAJSON_LABELS. */
  readonly staticLabels: ReadonlyMap<string, string>;
}

export function environmentMetadata(
  env: EnvironmentReader,
  proxyMetadata: ReadonlyMap<string, string>,
  notices: Notices,
): EnvironmentMetadata {
  const prefix = "ISTIO_META_";
  const fromProxy = [...proxyMetadata]
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, value]) => [name.slice(prefix.length), value] as const);
  const fields = new Map<string, Json>([...fromProxy, ...env.prefixed(prefix)]);
  let staticLabels: ReadonlyMap<string, string> = new Map();
  for (const [name, text] of env.prefixed("ISTIO_METAJSON_")) {
    const read = readJson(text);
    // The peer goes on without a value that it can't read: a pod must not depend on a stray variable.
    if (!read.ok || !isObject(read.value)) {
      notices.add(`ISTIO_METAJSON_${name} is no JSON object; it is ignored`);
      continue;
    }
    for (const [field, value] of Object.entries(read.value)) fields.set(field, value);
    if (name === "LABELS") staticLabels = textEntries(read.value);
  }
  return { fields: Object.fromEntries(fields), staticLabels };
}

const textEntries = (object: JsonObject): ReadonlyMap<string, string> =>
  new Map(Object.entries(object).filter((entry): entry is [string, string] => typeof entry[1] === "string"));

/** What we know ourselves; beats the environment's fields of the same name. */
export interface KnownMetadata {
  readonly addresses: readonly string[];
  readonly podName: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly staticLabels: ReadonlyMap<string, string>;
  readonly annotations: ReadonlyMap<string, string>;
  readonly proxyConfig: JsonObject;
  readonly ports: Ports;
  readonly stsPort: number;
  readonly exitOnZeroConnections: boolean;
  readonly metadataDiscovery: boolean;
  readonly skipDeprecatedLogs: boolean;
  readonly outlierLogPath: string | undefined;
  readonly workloadSocketFile: string | undefined;
  /** Names that the control plane's certificate may have. */
  readonly controlPlaneNames: readonly string[];
}

/** The whole `node.metadata` of the bootstrap: keys and types that istiod reads (features.md 3.5). */
export function nodeMetadata(fields: JsonObject, known: KnownMetadata): JsonObject {
  return withoutUndefined({
    ISTIO_VERSION: PEER_VERSION,
    ...fields,
    NAME: known.podName || undefined,
    NAMESPACE: known.namespace || undefined,
    SERVICE_ACCOUNT: known.serviceAccount || undefined,
    INSTANCE_IPS: known.addresses.join(","),
    LABELS: objectOf(known.labels),
    STATIC_LABELS: objectOf(known.staticLabels),
    ANNOTATIONS: objectOf(known.annotations),
    PROXY_CONFIG: known.proxyConfig,
    PILOT_SAN: known.controlPlaneNames.length === 0 ? undefined : known.controlPlaneNames,
    ENVOY_STATUS_PORT: known.ports.readiness,
    ENVOY_PROMETHEUS_PORT: known.ports.prometheus,
    ENVOY_SECURE_METRICS_PORT: known.ports.secureMetrics || undefined,
    ENVOY_SECURE_MERGED_METRICS_PORT: known.ports.secureMergedMetrics || undefined,
    STS_PORT: known.stsPort === 0 ? undefined : String(known.stsPort),
    EXIT_ON_ZERO_ACTIVE_CONNECTIONS: trueOrLeft(known.exitOnZeroConnections),
    METADATA_DISCOVERY: trueOrLeft(known.metadataDiscovery),
    ENVOY_SKIP_DEPRECATED_LOGS: trueOrLeft(known.skipDeprecatedLogs),
    OUTLIER_LOG_PATH: known.outlierLogPath,
    WORKLOAD_IDENTITY_SOCKET_FILE: known.workloadSocketFile,
  });
}

/** istiod's booleans are texts, and a false one is left out. */
const trueOrLeft = (value: boolean): "true" | undefined => (value ? "true" : undefined);

const objectOf = (map: ReadonlyMap<string, string>): JsonObject | undefined =>
  map.size === 0 ? undefined : Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
