import type { Problems } from "../foundation/problems.ts";
import type { JsonObject, MetricsSettings, Ports, Role, ScrapeTarget } from "./agent-config.ts";
import type { EnvironmentReader } from "./environment-reader.ts";
import { isObject, scalarText } from "./object-reader.ts";
import { readJson } from "./structured-text.ts";
import { parseInteger } from "./units.ts";

const NAME = "ISTIO_PROMETHEUS_ANNOTATIONS";

/** Ports that are never the application's: a scrape of them would be of ourselves, or a loop (features.md MET-2). */
const reserved = [15_000, 15_001, 15_004, 15_006, 15_008, 15_020, 15_021, 15_053, 15_090];

/** What is merged into /stats/prometheus, and where the application's part is. Only a sidecar has an application. */
export function readMetricsSettings(
  env: EnvironmentReader,
  role: Role,
  ports: Ports,
  problems: Problems,
): MetricsSettings {
  const text = env.text(NAME);
  const mergeEnvoy = env.boolean("PILOT_AGENT_MERGE_ENVOY_STATS");
  if (text === undefined || role !== "sidecar") return { mergeEnvoy, targets: [] };
  const read = readJson(text);
  if (!read.ok || !isObject(read.value)) {
    const why = read.ok ? "it is no object" : read.why;
    problems.add(NAME, `it can't be read as JSON: ${why}; use {"scrape":"true","path":"/metrics","port":"8080"}`);
    return { mergeEnvoy, targets: [] };
  }
  return { mergeEnvoy, targets: targetsOf(read.value, ports, problems) };
}

function targetsOf(settings: JsonObject, ports: Ports, problems: Problems): readonly ScrapeTarget[] {
  if (scalarText(settings["scrape"]) === "false") return [];
  const list = settings["targets"];
  const entries = Array.isArray(list) && list.length > 0 ? list.filter(isObject) : [settings];
  const ours = [...reserved, ports.admin, ports.status, ports.readiness, ports.prometheus];
  return entries.flatMap((entry) => {
    const text = scalarText(entry["port"]) || "80";
    const port = parseInteger(text);
    if (port === undefined || port < 1 || port > 65_535) {
      problems.add(NAME, `"${text}" is no port; use a port from 1 to 65535`);
      return [];
    }
    if (ours.includes(port)) {
      problems.add(NAME, `port ${port} is the proxy's own, not the application's; use the application's metrics port`);
      return [];
    }
    return [{ port, path: slashed(typeof entry["path"] === "string" ? entry["path"] : "") }];
  });
}

const slashed = (path: string): string => (path === "" ? "/metrics" : path.startsWith("/") ? path : `/${path}`);
