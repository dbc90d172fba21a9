import type { Json, JsonObject } from "./agent-config.ts";
import { camelCase, isObject } from "./object-reader.ts";
import type { MergedProxy } from "./proxy-config.ts";
import type { RemoteService, Tracing } from "./proxy-config-types.ts";
import { durationText } from "./units.ts";

/**
 * The merged proxy configuration as the control plane expects it in the node's metadata: what the sources said, also
 * the fields that an agent does not use, under what is in effect. `layers` come weakest first.
 */
export function rawProxyConfig(layers: readonly JsonObject[], proxy: MergedProxy): JsonObject {
  const said = layers.reduce<JsonObject>((merged, layer) => mergedObject(merged, camelKeys(layer)), {});
  const { parentShutdownDuration: _, zipkinAddress: __, tracingServiceName: ___, serviceCluster: ____, ...kept } = said;
  return withoutUndefined({ ...kept, ...inEffect(proxy), ...naming(said, proxy), ...tracing(said, proxy.tracing) });
}

/** Fields whose value flags, annotations or defaults may have changed. parentShutdownDuration is no field any more. */
function inEffect(proxy: MergedProxy): Readonly<Record<string, Json | undefined>> {
  return {
    configPath: proxy.configPath,
    binaryPath: proxy.binaryPath,
    drainDuration: durationText(proxy.drainDuration),
    terminationDrainDuration: durationText(proxy.terminationDrainDuration),
    discoveryAddress: proxy.discoveryAddress,
    proxyAdminPort: proxy.proxyAdminPort,
    statusPort: proxy.statusPort,
    controlPlaneAuthPolicy: proxy.controlPlaneAuthPolicy,
    concurrency: proxy.concurrency,
    statNameLength: proxy.statNameLength,
    customConfigFile: proxy.customConfigFile,
    proxyBootstrapTemplatePath: proxy.proxyBootstrapTemplatePath,
    statsdUdpAddress: proxy.statsdUdpAddress,
    envoyAccessLogService: remote(proxy.envoyAccessLogService),
    envoyMetricsService: remote(proxy.envoyMetricsService),
    proxyMetadata: proxy.proxyMetadata.size === 0 ? undefined : Object.fromEntries(proxy.proxyMetadata),
    runtimeValues: proxy.runtimeValues.size === 0 ? undefined : Object.fromEntries(proxy.runtimeValues),
  };
}

/** The two names are one choice in protobuf: a message with both is refused. */
function naming(said: JsonObject, proxy: MergedProxy): JsonObject {
  const byTracing = said["tracingServiceName"] !== undefined && proxy.serviceCluster === "istio-proxy";
  return byTracing ? { tracingServiceName: proxy.tracingServiceName } : { serviceCluster: proxy.serviceCluster };
}

/** The tracer in effect beside what else was said about tracing (sampling, tags). The token stays with us. */
function tracing(said: JsonObject, tracer: Tracing | undefined): Readonly<Record<string, Json | undefined>> {
  if (tracer === undefined) return { tracing: said["tracing"] };
  const before = isObject(said["tracing"]) ? said["tracing"] : {};
  const { zipkin: _, datadog: __, lightstep: ___, ...kept } = before;
  const name = tracer.kind === "opentelemetry" ? "lightstep" : tracer.kind;
  return { tracing: { ...kept, [name]: { address: tracer.address } } };
}

function remote(service: RemoteService | undefined): JsonObject | undefined {
  if (service === undefined) return undefined;
  const { tls, tcpKeepalive: keepalive } = service;
  const seconds = (value: number | undefined): string | undefined => (value === undefined ? undefined : `${value}s`);
  return withoutUndefined({
    address: service.address,
    tlsSettings: tls === undefined ? undefined : withoutUndefined({ ...tls }),
    tcpKeepalive:
      keepalive === undefined
        ? undefined
        : withoutUndefined({
            probes: keepalive.probes,
            time: seconds(keepalive.timeSeconds),
            interval: seconds(keepalive.intervalSeconds),
          }),
  });
}

/**
 * Objects are joined field by field, everything else is replaced, null means not said. By a map and not by assignment:
 * a field `__proto__` must stay a field.
 */
export function mergedObject(weak: JsonObject, strong: JsonObject): JsonObject {
  const merged = new Map<string, Json>(Object.entries(weak));
  for (const [name, value] of Object.entries(strong)) {
    if (value === null) continue;
    const before = merged.get(name);
    merged.set(name, isObject(before) && isObject(value) ? mergedObject(before, value) : value);
  }
  return Object.fromEntries(merged);
}

/** Protobuf's JSON may also use the names of the .proto file; keys of maps below stay as they are. */
const camelKeys = (layer: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(layer).map(([name, value]) => [camelCase(name), value]));

export const withoutUndefined = (object: Readonly<Record<string, Json | undefined>>): JsonObject =>
  Object.fromEntries(Object.entries(object).filter((entry): entry is [string, Json] => entry[1] !== undefined));
