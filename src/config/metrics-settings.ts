import type { Problems } from "../foundation/problems.ts";
import type { Json, JsonObject, MetricsSettings, Role, ScrapeTarget } from "./agent-config.ts";
import type { EnvironmentReader } from "./environment-reader.ts";
import type { Notices } from "./notices.ts";
import { isObject, scalarText, shown } from "./object-reader.ts";
import { readJson } from "./structured-text.ts";
import { parseInteger } from "./units.ts";

const NAME = "ISTIO_PROMETHEUS_ANNOTATIONS";

/** What is merged into /stats/prometheus, and where the application's part is. Only a sidecar has an application. */
export function readMetricsSettings(
  env: EnvironmentReader,
  role: Role,
  problems: Problems,
  notices: Notices,
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
  return { mergeEnvoy, targets: targetsOf(read.value, problems, notices) };
}

/** Ports of the proxy are among them still: who asks the targets leaves those out, and says so. */
function targetsOf(settings: JsonObject, problems: Problems, notices: Notices): readonly ScrapeTarget[] {
  if (scalarText(settings["scrape"]) === "false") return [];
  const targets = new Map<string, ScrapeTarget>();
  for (const { where, fields } of entriesOf(settings, problems)) {
    const port = portOf(fields["port"], `${where}.port`, problems);
    const path = pathOf(fields["path"], `${where}.path`, problems);
    if (port === undefined || path === undefined) continue;
    const label = `${port}${path}`;
    // Twice on one page its series would be there twice.
    if (targets.has(label)) notices.add(`${NAME}: ${label} is named more than once; it is scraped once`);
    else targets.set(label, { port, path });
  }
  return [...targets.values()];
}

interface Entry {
  /** Its place, for messages. */
  readonly where: string;
  readonly fields: JsonObject;
}

/** `targets` where there are some, else the one target that the object itself is. */
function entriesOf(settings: JsonObject, problems: Problems): readonly Entry[] {
  const list = settings["targets"] ?? [];
  const use = 'use {"port":"8080","path":"/metrics"}';
  if (!Array.isArray(list)) {
    problems.add(`${NAME}.targets`, `${shown(list)} can't be used; ${use} in a list`);
    return [];
  }
  if (list.length === 0) return [{ where: NAME, fields: settings }];
  return (list as readonly Json[]).flatMap((fields, index) => {
    const where = `${NAME}.targets[${index}]`;
    if (isObject(fields)) return [{ where, fields }];
    problems.add(where, `${shown(fields)} can't be used; ${use}`);
    return [];
  });
}

/** The peer's default is 80, for a port that is not there or an empty text; anything else that is no port is a mistake. */
function portOf(value: Json | undefined, where: string, problems: Problems): number | undefined {
  if (value === undefined || value === "") return 80;
  const port = typeof value === "string" ? parseInteger(value) : value;
  if (typeof port === "number" && Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  problems.add(where, `${shown(value)} can't be used; use a port from 1 to 65535`);
  return undefined;
}

function pathOf(value: Json | undefined, where: string, problems: Problems): string | undefined {
  const path = value ?? "";
  if (typeof path === "string" && !/\p{Cc}/u.test(path))
    return path === "" ? "/metrics" : path.startsWith("/") ? path : `/${path}`;
  const why = typeof path === "string" ? "has a control character" : "can't be used";
  problems.add(where, `${shown(path)} ${why}; use a path such as /metrics`);
  return undefined;
}
