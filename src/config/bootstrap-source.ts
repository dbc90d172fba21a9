import type { Problems } from "../foundation/problems.ts";
import type { BootstrapSource, JsonObject } from "./agent-config.ts";
import type { EnvironmentReader } from "./environment-reader.ts";
import type { FlagReader } from "./flag-reader.ts";
import { isObject, scalarText } from "./object-reader.ts";
import type { MergedProxy } from "./proxy-config.ts";
import { readJson } from "./structured-text.ts";
import { firstSet, parseInteger } from "./units.ts";

export interface BootstrapFacts {
  readonly flags: FlagReader;
  readonly env: EnvironmentReader;
  readonly proxy: MergedProxy;
  /** `node.metadata` fields of the environment. */
  readonly metadata: JsonObject;
  readonly waypoint: boolean;
  readonly problems: Problems;
}

/** Where the bootstrap comes from (features.md BOOT-1): ISTIO_BOOTSTRAP, custom file, template, the built-in one. */
export function readBootstrapSource(facts: BootstrapFacts): BootstrapSource {
  const { flags, env, proxy } = facts;
  const fromEnvironment = env.text("ISTIO_BOOTSTRAP");
  const custom = fromEnvironment === undefined ? proxy.customConfigFile : undefined;
  const delta = env.boolean("ISTIO_DELTA_XDS");
  return {
    kind: custom === undefined ? "template" : "custom",
    path: firstSet<string>(custom, fromEnvironment, proxy.proxyBootstrapTemplatePath),
    overridePath: env.text("ISTIO_BOOTSTRAP_OVERRIDE"),
    directory: proxy.configPath,
    outlierLogPath: flags.text("outlierLogPath"),
    deltaXds: delta || facts.waypoint,
    maxConnections: maxConnections(facts),
    statusProxyProtocol: env.boolean("ENVOY_STATUS_PORT_ENABLE_PROXY_PROTOCOL"),
    metricsLocalhostOnly: env.boolean("METRICS_LOCALHOST_ACCESS_ONLY"),
    istioExtensions: istioExtensions(facts),
    controlPlane: flags.boolean("controlPlaneBootstrap") === true && flags.text("templateFile") !== undefined,
    loadStatsConfig: loadStatsConfig(facts),
  };
}

/** ProxyConfig's connectionSettings, then the metadata, then the runtime value (features.md BOOT-13). */
function maxConnections({ proxy, metadata, problems }: BootstrapFacts): number | undefined {
  const key = "GLOBAL_DOWNSTREAM_MAX_CONNECTIONS";
  const runtime = "overload.global_downstream_max_connections";
  const inMetadata = scalarText(metadata[key]);
  const read = (name: string, text: string | undefined): number | undefined => {
    if (text === undefined || text === "") return undefined;
    const count = parseInteger(text);
    if (count !== undefined && count > 0) return count;
    problems.add(name, `"${text}" can't be used; use a number of connections above 0`);
    return undefined;
  };
  return firstSet<number>(
    proxy.maxConnections,
    read(`ISTIO_META_${key}`, inMetadata),
    read(`runtimeValues.${runtime}`, proxy.runtimeValues.get(runtime)),
  );
}

/** Istio's image says which proxy it holds; with an Envoy of the user's own nothing is known. */
function istioExtensions({ env, metadata }: BootstrapFacts): boolean {
  const said = env.boolean("PILOTFISH_ISTIO_EXTENSIONS");
  return said ?? (metadata["ISTIO_PROXY_SHA"] !== undefined && env.text("PILOTFISH_ENVOY") === undefined);
}

function loadStatsConfig({ env, problems }: BootstrapFacts): JsonObject | undefined {
  const text = env.text("LOAD_STATS_CONFIG_JSON");
  if (text === undefined) return undefined;
  const read = readJson(text);
  if (read.ok && isObject(read.value)) return read.value;
  problems.add("LOAD_STATS_CONFIG_JSON", `it is no JSON object${read.ok ? "" : `: ${read.why}`}; use an object`);
  return undefined;
}
