import type { Millis } from "../foundation/time.ts";
import type { JsonObject } from "./agent-config.ts";

/**
 * Istio's ProxyConfig as far as an agent uses it, after all sources were merged. The field names are Istio's;
 * `raw` is the merged object as the control plane expects it in the node metadata PROXY_CONFIG.
 */
export interface ProxyConfig {
  readonly configPath: string;
  readonly binaryPath: string;
  readonly serviceCluster: string;
  readonly drainDuration: Millis;
  readonly parentShutdownDuration: Millis;
  readonly terminationDrainDuration: Millis;
  readonly discoveryAddress: string;
  readonly proxyAdminPort: number;
  readonly statusPort: number;
  readonly controlPlaneAuthPolicy: "NONE" | "MUTUAL_TLS";
  readonly concurrency: number | undefined;
  readonly statNameLength: number;
  readonly customConfigFile: string | undefined;
  readonly proxyBootstrapTemplatePath: string | undefined;
  readonly interceptionMode: "REDIRECT" | "TPROXY" | "NONE" | undefined;
  readonly tracing: Tracing | undefined;
  readonly tracingServiceName: "APP_LABEL_AND_NAMESPACE" | "CANONICAL_NAME_ONLY" | "CANONICAL_NAME_AND_NAMESPACE";
  readonly envoyAccessLogService: RemoteService | undefined;
  readonly envoyMetricsService: RemoteService | undefined;
  /** `host:port`, resolved by the bootstrap's cluster. */
  readonly statsdUdpAddress: string | undefined;
  readonly proxyMetadata: ReadonlyMap<string, string>;
  readonly extraStatTags: readonly string[];
  readonly proxyStatsMatcher: StatsMatcher;
  /** `undefined` value removes a built-in runtime key. */
  readonly runtimeValues: ReadonlyMap<string, string>;
  readonly holdApplicationUntilProxyStarts: boolean;
  readonly caCertificatesPem: readonly string[];
  readonly meshId: string | undefined;
  readonly fileFlushInterval: Millis;
  readonly fileFlushMinSizeKb: number | undefined;
  readonly statsCompression: boolean;
  readonly raw: JsonObject;
}

export interface StatsMatcher {
  readonly inclusionPrefixes: readonly string[];
  readonly inclusionSuffixes: readonly string[];
  readonly inclusionRegexps: readonly string[];
}

export type Tracing =
  | { readonly kind: "zipkin"; readonly address: string }
  | { readonly kind: "datadog"; readonly address: string }
  | {
      /** Also what lightstep's flags become: stock Envoy 1.40 has no lightstep tracer. */
      readonly kind: "opentelemetry";
      readonly address: string;
      /** Sent as the header that the collector expects; never logged. */
      readonly accessToken: string | undefined;
      readonly secure: boolean;
      readonly caCertificatePath: string | undefined;
    };

export interface RemoteService {
  /** `host:port`. */
  readonly address: string;
  readonly tls: TlsSettings | undefined;
  readonly tcpKeepalive: TcpKeepalive | undefined;
}

export interface TlsSettings {
  readonly mode: "DISABLE" | "SIMPLE" | "MUTUAL" | "ISTIO_MUTUAL";
  readonly clientCertificate: string | undefined;
  readonly privateKey: string | undefined;
  readonly caCertificates: string | undefined;
  readonly sni: string | undefined;
  readonly subjectAltNames: readonly string[];
}

export interface TcpKeepalive {
  readonly probes: number | undefined;
  readonly timeSeconds: number | undefined;
  readonly intervalSeconds: number | undefined;
}
