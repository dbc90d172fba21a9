import type { AgentConfig, JsonObject } from "../config/agent-config.ts";
import type { Problems } from "../foundation/problems.ts";
import { field } from "./proto-json.ts";
import type { UserChoices } from "./user-choices.ts";

/** Everything about Envoy's statistics that a template needs (features.md BOOT-8, hot-restart.md 9 and 12). */
export interface StatsValues {
  /**
   * Further tags, cut out of names such as `reporter=.=source;.;`. Istio's own dimensions are not among them, as they
   * are not with the peer: its statistics filter sets its tags itself, and 28 expressions cost Envoy 8 ms of its start.
   */
  readonly tags: readonly { readonly name: string; readonly regex: string }[];
  readonly prefixes: readonly string[];
  readonly suffixes: readonly string[];
  readonly regexps: readonly string[];
  readonly histogramBuckets: readonly { readonly prefix: string; readonly buckets: readonly number[] }[];
  /** What 15090 offers, best first. */
  readonly compression: readonly { readonly name: string; readonly type: string }[];
  /** Each reading of the statistics is a flush: what makes counters exact over a hot restart. */
  readonly flushOnAdmin: boolean;
  readonly flushInterval: string | null;
  readonly evictionInterval: string | null;
}

/** What readiness, the drain and the dashboards read; always let through. */
const requiredPrefixes = ["cluster_manager", "listener_manager", "server", "cluster.xds-grpc", "wasm"];
const requiredSuffixes = ["rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied"];
const requiredRegexps = [
  "vhost\\..*\\.route\\..*",
  // Connections of each listener, without those of its workers: by them the drain knows when nobody is left.
  "listener\\.[\\d.:\\[\\]_a-f]+\\.downstream_(?:cx_active|pre_cx_active|cx_total)",
];

const compressors: readonly { readonly name: string; readonly type: string }[] = [
  { name: "brotli", type: "Brotli" },
  { name: "zstd", type: "Zstd" },
  { name: "gzip", type: "Gzip" },
];

export function statsValues(config: AgentConfig, user: UserChoices, problems: Problems): StatsValues {
  const { proxy, node, stop } = config;
  const annotation = (name: string): string | undefined => node.annotations.get(`sidecar.istio.io/${name}`);
  const { inclusionPrefixes, inclusionSuffixes, inclusionRegexps } = proxy.proxyStatsMatcher;
  // The annotation stands instead of the ProxyConfig's list, as with the peer; what is required is added to both.
  const patterns = (name: string, configured: readonly string[], required: readonly string[]): readonly string[] =>
    unique(
      [...(words(annotation(name)) ?? configured), ...required].flatMap((one) => withPodIps(one, node.ipAddresses)),
    );
  const flushInterval = interval(
    `annotation sidecar.istio.io/statsFlushInterval`,
    annotation("statsFlushInterval"),
    problems,
  );
  return {
    tags: unique([...proxy.extraStatTags, ...(words(annotation("extraStatTags")) ?? [])])
      .filter((name) => name !== "")
      .map((name) => ({ name, regex: `(${escapeRegex(name)}=\\.=(.*?);\\.;)` })),
    prefixes: patterns("statsInclusionPrefixes", inclusionPrefixes, requiredPrefixes),
    suffixes: patterns("statsInclusionSuffixes", inclusionSuffixes, [
      ...requiredSuffixes,
      ...(stop.exitOnZeroConnections ? ["downstream_cx_active"] : []),
    ]),
    regexps: patterns("statsInclusionRegexps", inclusionRegexps, requiredRegexps),
    histogramBuckets: histogramBuckets(annotation("statsHistogramBuckets"), problems),
    compression: compression(annotation("statsCompression"), proxy.statsCompression, problems),
    flushOnAdmin: flushInterval === null && !needsTimer(config, user.override),
    flushInterval,
    evictionInterval: interval(
      "annotation sidecar.istio.io/statsEvictionInterval",
      annotation("statsEvictionInterval"),
      problems,
    ),
  };
}

/**
 * Sinks are fed by a timer, and Envoy refuses `stats_flush_on_admin` beside an interval ("Only one of ..."). Both may
 * also come from the override.
 */
function needsTimer({ proxy }: AgentConfig, override: JsonObject | undefined): boolean {
  if (proxy.envoyMetricsService !== undefined || proxy.statsdUdpAddress !== undefined) return true;
  if (override === undefined) return false;
  const sinks = field(override, "stats_sinks");
  return (Array.isArray(sinks) && sinks.length > 0) || field(override, "stats_flush_interval") !== undefined;
}

/** `http.{pod_ip}_` becomes one pattern an address. */
const withPodIps = (pattern: string, addresses: readonly string[]): readonly string[] =>
  pattern.includes("{pod_ip}") ? addresses.map((one) => pattern.replaceAll("{pod_ip}", one)) : [pattern];

const words = (list: string | undefined): readonly string[] | undefined =>
  list === undefined || list === ""
    ? undefined
    : list
        .split(",")
        .map((one) => one.trim())
        .filter((one) => one !== "");

const unique = (list: readonly string[]): readonly string[] => [...new Set(list)];

const escapeRegex = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");

/** `{"istiocustom": [1,5,10]}`: histogram name prefix -> upper bounds. */
function histogramBuckets(text: string | undefined, problems: Problems): StatsValues["histogramBuckets"] {
  if (text === undefined || text === "") return [];
  const found = asBuckets(text);
  if (found === undefined) {
    problems.add(
      "annotation sidecar.istio.io/statsHistogramBuckets",
      `${JSON.stringify(text)} is not an object of lists of numbers; write {"istiocustom": [1, 5, 10]}`,
    );
    return [];
  }
  return found.toSorted((a, b) => (a.prefix < b.prefix ? -1 : 1));
}

function asBuckets(text: string): StatsValues["histogramBuckets"] | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return undefined;
  const entries = Object.entries(parsed).map(([prefix, buckets]: [string, unknown]) => ({ prefix, buckets }));
  return entries.every(isBucket) ? entries : undefined;
}

const isBucket = (one: {
  readonly prefix: string;
  readonly buckets: unknown;
}): one is { readonly prefix: string; readonly buckets: readonly number[] } =>
  Array.isArray(one.buckets) && one.buckets.length > 0 && one.buckets.every((bound) => typeof bound === "number");

function compression(asked: string | undefined, configured: boolean, problems: Problems): StatsValues["compression"] {
  if (asked === undefined || asked === "") return configured ? compressors : [];
  const found = compressors.filter((one) => one.name === asked);
  if (found.length === 0) {
    problems.add("annotation sidecar.istio.io/statsCompression", `"${asked}" is not known; use brotli, zstd or gzip`);
  }
  return found;
}

/** Go's spelling (`5s`, `1m30s`, `500ms`) to protobuf's (`90s`). */
function interval(name: string, text: string | undefined, problems: Problems): string | null {
  if (text === undefined || text === "") return null;
  const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  const millis = parts.reduce((sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ""] ?? 0), 0);
  if (parts.map(([whole]) => whole).join("") !== text || millis < 1) {
    problems.add(name, `"${text}" is not a duration; write for example 5s or 1m30s`);
    return null;
  }
  return `${Math.round(millis) / 1_000}s`;
}
