import type { Json, JsonObject } from "../config/agent-config.ts";
import { field, isList, isObject, list, path } from "./proto-json.ts";
import { admits } from "./stats-matcher.ts";

/**
 * What the rest of the program has to know about the bootstrap that Envoy really gets: ours, the user's, and either
 * with the override merged in. Pure reading; nothing is guessed from our own settings.
 */
export interface BootstrapFacts {
  /** Where Envoy's admin answers us: an admin on all addresses is asked on loopback. Undefined when there is none. */
  readonly admin: Address | undefined;
  /** The admin listens on more than loopback: whoever reaches the port can stop Envoy. */
  readonly adminIsOpen: boolean;
  /** Clusters, listeners come from outside the file; readiness waits for the first answer of each. */
  readonly clusters: DynamicSource;
  readonly listeners: DynamicSource;
  /** At least one of the two comes over ADS, which we forward. */
  readonly usesAds: boolean;
  /** Names of secrets that the file itself asks a secret service for, sorted. */
  readonly secrets: readonly string[];
  readonly staticListeners: readonly StaticListener[];
  /** One listens on the readiness port: 15021 answers the kubelet. */
  readonly hasReadinessListener: boolean;
  /** One listens on the port of Envoy's statistics, 15090. */
  readonly hasPrometheusListener: boolean;
  readonly stats: StatsFacts;
  /** The file sets the shape of Envoy's log; Envoy then refuses `--log-format`. */
  readonly setsLogFormat: boolean;
  /** `node.id` and `node.cluster` of the file. */
  readonly nodeId: string | undefined;
  readonly nodeCluster: string | undefined;
}

export type DynamicSource = "none" | "ads" | "grpc" | "rest" | "file";

export type Address =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "pipe"; readonly path: string };

export interface StaticListener {
  /** As the statistics call it: its name, or the address when it has none. */
  readonly name: string;
  /** The first is the main one. */
  readonly addresses: readonly Address[];
  /** `traffic_direction`; left out when the listener does not say. */
  readonly direction?: "inbound" | "outbound";
}

export interface StatsFacts {
  /** Each reading of the admin's statistics flushes them. */
  readonly flushOnAdmin: boolean;
  /** protobuf's spelling (`5s`); undefined is Envoy's default of five seconds. */
  readonly flushInterval: string | undefined;
  /** Names of the sinks. */
  readonly sinks: readonly string[];
  /**
   * Envoy counts the open connections of its listeners. When a matcher of the file leaves these counts out, nobody
   * can know whether a connection is left.
   */
  readonly countsConnections: boolean;
}

/** Reads the facts; `ports` are the ones by which our configuration looks for its listeners. */
export function bootstrapFacts(
  bootstrap: JsonObject,
  ports: { readonly readiness: number; readonly prometheus: number },
): BootstrapFacts {
  const staticListeners = list(path(bootstrap, "static_resources"), "listeners").flatMap(staticListener);
  const listensOn = (port: number): boolean =>
    port > 0 && staticListeners.some((one) => one.addresses.some((at) => at.kind === "tcp" && at.port === port));
  const clusters = dynamicSource(path(bootstrap, "dynamic_resources", "cds_config"));
  const listeners = dynamicSource(path(bootstrap, "dynamic_resources", "lds_config"));
  return {
    admin: reachable(address(path(bootstrap, "admin", "address"))),
    adminIsOpen: isOpen(address(path(bootstrap, "admin", "address"))),
    clusters,
    listeners,
    usesAds: clusters === "ads" || listeners === "ads",
    secrets: [...new Set(secretNames(bootstrap))].toSorted(),
    staticListeners,
    hasReadinessListener: listensOn(ports.readiness),
    hasPrometheusListener: listensOn(ports.prometheus),
    stats: {
      flushOnAdmin: field(bootstrap, "stats_flush_on_admin") === true,
      flushInterval: string(field(bootstrap, "stats_flush_interval")),
      sinks: list(bootstrap, "stats_sinks").flatMap((one) => string(field(one, "name")) ?? []),
      countsConnections: ["active", "total"].every((what) =>
        admits(path(bootstrap, "stats_config", "stats_matcher"), `listener.0.0.0.0_80.downstream_cx_${what}`),
      ),
    },
    setsLogFormat: path(bootstrap, "application_log_config", "log_format") !== undefined,
    nodeId: string(path(bootstrap, "node", "id")),
    nodeCluster: string(path(bootstrap, "node", "cluster")),
  };
}

function staticListener(listener: Json): readonly StaticListener[] {
  const more = list(listener, "additional_addresses").map((one) => field(one, "address"));
  const addresses = [field(listener, "address"), ...more].flatMap((one) => address(one) ?? []);
  const first = addresses[0];
  // An internal listener has no address of its own: nobody outside can reach it.
  if (first === undefined) return [];
  const given = string(field(listener, "name"));
  return [{ name: given ?? nameOf(first), addresses, ...directionOf(listener) }];
}

/** Protobuf's JSON takes the name of an enum's value and its number (envoy.config.core.v3.TrafficDirection). */
function directionOf(listener: Json): Pick<StaticListener, "direction"> {
  const said = field(listener, "traffic_direction");
  if (said === "INBOUND" || said === 1) return { direction: "inbound" };
  return said === "OUTBOUND" || said === 2 ? { direction: "outbound" } : {};
}

const nameOf = (at: Address): string => (at.kind === "pipe" ? at.path : `${at.host}_${at.port}`);

function address(value: Json | undefined): Address | undefined {
  const socket = field(value, "socket_address");
  const host = string(field(socket, "address"));
  const port = Number(field(socket, "port_value") ?? Number.NaN);
  if (host !== undefined && Number.isInteger(port)) return { kind: "tcp", host, port };
  const pipe = string(path(value, "pipe", "path"));
  return pipe === undefined ? undefined : { kind: "pipe", path: pipe };
}

const wildcards: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

const reachable = (at: Address | undefined): Address | undefined =>
  at?.kind === "tcp" ? { ...at, host: wildcards[at.host] ?? at.host } : at;

const isOpen = (at: Address | undefined): boolean =>
  at?.kind === "tcp" && !at.host.startsWith("127.") && at.host !== "::1";

function dynamicSource(source: Json | undefined): DynamicSource {
  if (!isObject(source)) return "none";
  if (field(source, "ads") !== undefined) return "ads";
  if (field(source, "path") !== undefined || field(source, "path_config_source") !== undefined) return "file";
  const type = string(path(source, "api_config_source", "api_type"));
  if (type === undefined) return "none";
  if (type === "REST") return "rest";
  return type.startsWith("AGGREGATED_") ? "ads" : "grpc";
}

/** Every `{name, sds_config}` below; a secret without `sds_config` is a static one. */
function secretNames(value: Json): readonly string[] {
  if (isList(value)) return value.flatMap(secretNames);
  if (!isObject(value)) return [];
  const below = Object.values(value).flatMap(secretNames);
  const name = field(value, "sds_config") === undefined ? undefined : string(field(value, "name"));
  return name === undefined ? below : [name, ...below];
}

const string = (value: Json | undefined): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;
