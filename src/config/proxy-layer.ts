import type { Problems } from "../foundation/problems.ts";
import type { Millis } from "../foundation/time.ts";
import type { JsonObject } from "./agent-config.ts";
import { camelCase, ObjectReader } from "./object-reader.ts";
import type {
  ProxyConfig,
  RemoteService,
  StatsMatcher,
  TcpKeepalive,
  TlsSettings,
  Tracing,
} from "./proxy-config-types.ts";

/** One source's share of the proxy configuration: every field may be missing. */
export interface ProxyLayer {
  readonly configPath?: string | undefined;
  readonly binaryPath?: string | undefined;
  readonly serviceCluster?: string | undefined;
  readonly tracingServiceName?: ProxyConfig["tracingServiceName"] | undefined;
  readonly drainDuration?: Millis | undefined;
  readonly parentShutdownDuration?: Millis | undefined;
  readonly terminationDrainDuration?: Millis | undefined;
  readonly discoveryAddress?: string | undefined;
  readonly proxyAdminPort?: number | undefined;
  readonly statusPort?: number | undefined;
  readonly controlPlaneAuthPolicy?: ProxyConfig["controlPlaneAuthPolicy"] | undefined;
  readonly concurrency?: number | undefined;
  readonly statNameLength?: number | undefined;
  readonly customConfigFile?: string | undefined;
  readonly proxyBootstrapTemplatePath?: string | undefined;
  readonly interceptionMode?: ProxyConfig["interceptionMode"];
  readonly tracing?: Tracing | undefined;
  readonly envoyAccessLogService?: RemoteService | undefined;
  readonly envoyMetricsService?: RemoteService | undefined;
  readonly statsdUdpAddress?: string | undefined;
  readonly proxyMetadata?: ReadonlyMap<string, string> | undefined;
  readonly extraStatTags?: readonly string[] | undefined;
  readonly proxyStatsMatcher?: StatsMatcher | undefined;
  readonly runtimeValues?: ReadonlyMap<string, string> | undefined;
  readonly holdApplicationUntilProxyStarts?: boolean | undefined;
  readonly caCertificatesPem?: readonly string[] | undefined;
  readonly meshId?: string | undefined;
  readonly fileFlushInterval?: Millis | undefined;
  readonly fileFlushMinSizeKb?: number | undefined;
  readonly statsCompression?: boolean | undefined;
  /** connectionSettings' limit of downstream connections. */
  readonly maxConnections?: number | undefined;
}

export const authPolicies = ["NONE", "MUTUAL_TLS"] as const;
export const interceptionModes = ["REDIRECT", "TPROXY", "NONE"] as const;
const tlsModes = ["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"] as const;
const serviceNames = ["APP_LABEL_AND_NAMESPACE", "CANONICAL_NAME_ONLY", "CANONICAL_NAME_AND_NAMESPACE"] as const;
const MOST = 2 ** 31 - 1;

/** A ProxyConfig object of the mesh file, of PROXY_CONFIG or of the annotation. */
export function readProxyLayer(object: JsonObject, where: string, problems: Problems): ProxyLayer {
  const from = new ObjectReader(object, where, problems);
  return {
    configPath: from.text("configPath"),
    binaryPath: from.text("binaryPath"),
    serviceCluster: from.text("serviceCluster"),
    tracingServiceName: from.oneOf("tracingServiceName", serviceNames),
    drainDuration: from.duration("drainDuration"),
    parentShutdownDuration: from.duration("parentShutdownDuration"),
    terminationDrainDuration: from.duration("terminationDrainDuration"),
    discoveryAddress: from.address("discoveryAddress"),
    proxyAdminPort: from.integer("proxyAdminPort", 1, 65_535),
    statusPort: from.integer("statusPort", -1, 65_535),
    controlPlaneAuthPolicy: from.oneOf("controlPlaneAuthPolicy", authPolicies),
    concurrency: from.integer("concurrency", 0, MOST),
    statNameLength: from.integer("statNameLength", 1, MOST),
    customConfigFile: from.text("customConfigFile"),
    proxyBootstrapTemplatePath: from.text("proxyBootstrapTemplatePath"),
    interceptionMode: from.oneOf("interceptionMode", interceptionModes),
    tracing: readTracing(from.object("tracing")) ?? zipkin(from.address("zipkinAddress")),
    envoyAccessLogService: readRemoteService(from.object("envoyAccessLogService")),
    envoyMetricsService:
      readRemoteService(from.object("envoyMetricsService")) ?? remote(from.address("envoyMetricsServiceAddress")),
    statsdUdpAddress: from.address("statsdUdpAddress"),
    proxyMetadata: from.textMap("proxyMetadata"),
    extraStatTags: from.textList("extraStatTags"),
    proxyStatsMatcher: readMatcher(from.object("proxyStatsMatcher")),
    runtimeValues: from.textMap("runtimeValues"),
    holdApplicationUntilProxyStarts: from.boolean("holdApplicationUntilProxyStarts"),
    caCertificatesPem: from.textList("caCertificatesPem"),
    meshId: from.text("meshId"),
    fileFlushInterval: from.duration("fileFlushInterval"),
    fileFlushMinSizeKb: from.integer("fileFlushMinSizeKb", 0, MOST),
    statsCompression: from.boolean("statsCompression"),
    maxConnections: from.object("connectionSettings")?.integer("globalDownstreamMaxConnections", 1, MOST),
  };
}

const zipkin = (address: string | undefined): Tracing | undefined =>
  address === undefined ? undefined : { kind: "zipkin", address };

const remote = (address: string | undefined): RemoteService | undefined =>
  address === undefined ? undefined : { address, tls: undefined, tcpKeepalive: undefined };

function readTracing(from: ObjectReader | undefined): Tracing | undefined {
  const datadog = from?.object("datadog")?.address("address");
  if (datadog !== undefined) return { kind: "datadog", address: datadog };
  const lightstep = from?.object("lightstep");
  const satellite = lightstep?.address("address");
  if (satellite === undefined) return zipkin(from?.object("zipkin")?.address("address"));
  const tls = readTls(from?.object("tlsSettings"));
  return {
    kind: "opentelemetry",
    address: satellite,
    accessToken: lightstep?.text("accessToken"),
    secure: lightstep?.boolean("secure") ?? (tls !== undefined && tls.mode !== "DISABLE"),
    caCertificatePath: lightstep?.text("cacertPath") ?? tls?.caCertificates,
  };
}

/** RemoteService of Istio's mesh API: access log and metrics service. */
export function readRemoteService(from: ObjectReader | undefined): RemoteService | undefined {
  const address = from?.address("address");
  if (from === undefined || address === undefined) return undefined;
  return {
    address,
    tls: readTls(from.object("tlsSettings")),
    tcpKeepalive: readKeepalive(from.object("tcpKeepalive")),
  };
}

function readTls(from: ObjectReader | undefined): TlsSettings | undefined {
  if (from === undefined) return undefined;
  return {
    mode: from.oneOf("mode", tlsModes) ?? "DISABLE",
    clientCertificate: from.text("clientCertificate"),
    privateKey: from.text("privateKey"),
    caCertificates: from.text("caCertificates"),
    sni: from.text("sni"),
    subjectAltNames: from.textList("subjectAltNames") ?? [],
  };
}

function readKeepalive(from: ObjectReader | undefined): TcpKeepalive | undefined {
  if (from === undefined) return undefined;
  const seconds = (duration: Millis | undefined): number | undefined =>
    duration === undefined ? undefined : Math.max(1, Math.round(duration / 1_000));
  return {
    probes: from.integer("probes", 0, MOST),
    timeSeconds: seconds(from.duration("time")),
    intervalSeconds: seconds(from.duration("interval")),
  };
}

function readMatcher(from: ObjectReader | undefined): StatsMatcher | undefined {
  if (from === undefined) return undefined;
  return {
    inclusionPrefixes: from.textList("inclusionPrefixes") ?? [],
    inclusionSuffixes: from.textList("inclusionSuffixes") ?? [],
    inclusionRegexps: from.textList("inclusionRegexps") ?? [],
  };
}

/** Fields of Istio's ProxyConfig, past ones included (features.md 3.3); what is not here was probably mistyped. */
const known = new Set(
  (
    "configPath binaryPath serviceCluster tracingServiceName drainDuration parentShutdownDuration " +
    "terminationDrainDuration discoveryAddress discoveryRefreshDelay zipkinAddress statsdUdpAddress " +
    "envoyMetricsServiceAddress proxyAdminPort availabilityZone controlPlaneAuthPolicy customConfigFile concurrency " +
    "proxyBootstrapTemplatePath interceptionMode tracing sds envoyAccessLogService envoyMetricsService proxyMetadata " +
    "statusPort statNameLength extraStatTags gatewayTopology meshId readinessProbe proxyStatsMatcher " +
    "holdApplicationUntilProxyStarts caCertificatesPem image runtimeValues privateKeyProvider proxyHeaders " +
    "fileFlushInterval fileFlushMinSizeKb statsCompression connectionSettings connectTimeout"
  ).split(" "),
);

/** Names in `object` that no version of ProxyConfig has. */
export const unknownFields = (object: JsonObject): readonly string[] =>
  Object.keys(object).filter((name) => !known.has(camelCase(name)));
