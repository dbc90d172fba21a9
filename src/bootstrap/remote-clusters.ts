import type { AgentConfig, Json } from "../config/agent-config.ts";
import type { RemoteService, TcpKeepalive, TlsSettings, Tracing } from "../config/proxy-config-types.ts";
import type { Problems } from "../foundation/problems.ts";
import { type HostPort, hostPort, isAddress } from "./host-port.ts";

/** A service outside the pod that the bootstrap itself names: a collector, an access log or a metrics service. */
export interface RemoteCluster {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly http2: boolean;
  readonly tls: RemoteTls | null;
  readonly keepalive: { readonly [name: string]: number } | null;
}

export interface RemoteTls {
  readonly sni: string;
  readonly alpn: readonly string[];
  /** Names of secrets at our own secret service (features.md CERT-2); null: we show no certificate. */
  readonly certificate: string | null;
  readonly root: string;
  readonly subjectAltNames: readonly { readonly type: "DNS" | "URI" | "IP_ADDRESS"; readonly exact: string }[];
}

const tracerClusters: Readonly<Record<Tracing["kind"], { readonly name: string; readonly http2: boolean }>> = {
  zipkin: { name: "zipkin", http2: false },
  datadog: { name: "datadog_agent", http2: false },
  opentelemetry: { name: "opentelemetry_collector", http2: true },
};

/** BOOT-14: tracer, metrics service, access log service, as far as they are configured. */
export function remoteClusters(config: AgentConfig, problems: Problems): readonly RemoteCluster[] {
  const { tracing, envoyMetricsService, envoyAccessLogService } = config.proxy;
  return [
    ...tracerCluster(tracing, problems),
    ...serviceCluster("envoy_metrics_service", "envoyMetricsService", envoyMetricsService, config, problems),
    ...serviceCluster("envoy_accesslog_service", "envoyAccessLogService", envoyAccessLogService, config, problems),
  ];
}

function tracerCluster(tracing: Tracing | undefined, problems: Problems): readonly RemoteCluster[] {
  if (tracing === undefined) return [];
  const address = readAddress(`tracing.${tracing.kind}.address`, tracing.address, problems);
  if (address === undefined) return [];
  return [{ ...tracerClusters[tracing.kind], ...address, tls: tracerTls(tracing, address.host), keepalive: null }];
}

function tracerTls(tracing: Tracing, host: string): RemoteTls | null {
  if (tracing.kind !== "opentelemetry" || !tracing.secure) return null;
  return {
    sni: nameOnly(host),
    alpn: ["h2"],
    certificate: null,
    root: `file-root:${tracing.caCertificatePath ?? "system"}`,
    subjectAltNames: [],
  };
}

/** The access token as metadata of each call. Envoy formats these values: a `%` of the token has to be doubled. */
export function tracerMetadata(
  tracing: Tracing | undefined,
  problems: Problems,
): readonly { readonly key: string; readonly value: string }[] {
  if (tracing?.kind !== "opentelemetry" || tracing.accessToken === undefined) return [];
  if (!/^[\x20-\x7e]+$/.test(tracing.accessToken)) {
    problems.add("the tracer's access token", "it has characters that no header may have; give it without line ends");
    return [];
  }
  return [{ key: "lightstep-access-token", value: tracing.accessToken.replaceAll("%", "%%") }];
}

function serviceCluster(
  name: string,
  key: string,
  service: RemoteService | undefined,
  config: AgentConfig,
  problems: Problems,
): readonly RemoteCluster[] {
  if (service === undefined) return [];
  const address = readAddress(`${key}.address`, service.address, problems);
  if (address === undefined) return [];
  return [
    {
      name,
      ...address,
      http2: true,
      tls: remoteTls(`${key}.tlsSettings`, service.tls, address.host, config, problems),
      keepalive: keepalive(service.tcpKeepalive),
    },
  ];
}

function keepalive(given: TcpKeepalive | undefined): RemoteCluster["keepalive"] {
  if (given === undefined) return null;
  const fields = {
    keepalive_probes: given.probes,
    keepalive_time: given.timeSeconds,
    keepalive_interval: given.intervalSeconds,
  };
  const set = Object.entries(fields).filter((one): one is [string, number] => one[1] !== undefined && one[1] > 0);
  // An empty message still turns keepalive on, with the kernel's own times.
  return Object.fromEntries(set);
}

/** TLS towards a service; all certificates come from our own secret service, so that a renewed file is seen. */
function remoteTls(
  name: string,
  tls: TlsSettings | undefined,
  host: string,
  config: AgentConfig,
  problems: Problems,
): RemoteTls | null {
  if (tls === undefined || tls.mode === "DISABLE") return null;
  const metadata = config.node.metadata;
  const file = (key: string, given: string | undefined): string | undefined => textOf(metadata[key]) ?? given;
  const root = file("TLS_CLIENT_ROOT_CERT", tls.caCertificates);
  const certificate = file("TLS_CLIENT_CERT_CHAIN", tls.clientCertificate);
  const key = file("TLS_CLIENT_KEY", tls.privateKey);
  if (tls.mode === "MUTUAL" && (certificate === undefined || key === undefined)) {
    problems.add(name, 'mode "MUTUAL" needs both clientCertificate and privateKey; give the paths of both');
    return null;
  }
  const ofFiles = certificate !== undefined && key !== undefined;
  return {
    sni: tls.sni ?? nameOnly(host),
    alpn: tls.mode === "ISTIO_MUTUAL" ? ["istio", "h2"] : ["h2"],
    certificate: tls.mode === "SIMPLE" ? null : ofFiles ? `file-cert:${certificate}~${key}` : "default",
    root: root !== undefined ? `file-root:${root}` : tls.mode === "ISTIO_MUTUAL" ? "ROOTCA" : "file-root:system",
    subjectAltNames: tls.subjectAltNames.map((exact) => ({ type: sanType(exact), exact })),
  };
}

/** SNI is for names (RFC 6066); empty sends none. */
const nameOnly = (host: string): string => (isAddress(host) ? "" : host);

const sanType = (name: string): "DNS" | "URI" | "IP_ADDRESS" =>
  name.includes("://") ? "URI" : isAddress(name) ? "IP_ADDRESS" : "DNS";

const textOf = (value: Json | undefined): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

function readAddress(name: string, text: string, problems: Problems): HostPort | undefined {
  const found = hostPort(text);
  if (found === undefined)
    problems.add(name, `"${text}" is not an address; write host:port, for example collector.ns:9411`);
  return found;
}

/**
 * Where statistics go by UDP. Envoy takes an address here, no name: the name's address must have been looked up
 * before. One that can't be found costs the statistics of this sink, not the pod.
 */
export function statsdAddress(
  text: string | undefined,
  resolved: ReadonlyMap<string, string>,
  problems: Problems,
): HostPort | undefined {
  if (text === undefined || text === "") return undefined;
  const found = readAddress("statsdUdpAddress", text, problems);
  if (found === undefined) return undefined;
  if (isAddress(found.host)) return found;
  const address = resolved.get(found.host);
  return address === undefined ? undefined : { host: address, port: found.port };
}
