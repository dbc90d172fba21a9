import type { LogSettings } from "./agent-config.ts";
import type { FlagReader } from "./flag-reader.ts";

type Level = LogSettings["levels"] extends ReadonlyMap<string, infer L> ? L : never;

/** Istio's levels; ours has no `fatal`, which is an error that ends the program. */
const levels: Readonly<Record<string, Level>> = {
  debug: "debug",
  info: "info",
  warn: "warn",
  error: "error",
  fatal: "error",
  none: "none",
};

/** `--log_as_json` and `--log_output_level`; a level without a scope is that of the scope `default`. */
export function readLogSettings(flags: FlagReader): LogSettings {
  const found = new Map<string, Level>();
  const text = flags.text("log_output_level") ?? "";
  for (const part of text.split(",").filter((one) => one.trim() !== "")) {
    const [, scope = "default", name = ""] = /^\s*(?:([^:\s]+):)?([^:\s]+)\s*$/.exec(part) ?? [];
    const level = Object.hasOwn(levels, name) ? levels[name] : undefined;
    if (level !== undefined) found.set(scope, level);
    else
      flags.problem(
        "log_output_level",
        `"${part}" can't be used; use SCOPE:LEVEL with debug, info, warn, error or none`,
      );
  }
  return { json: flags.boolean("log_as_json") ?? false, levels: found };
}

const envoyLevels = ["trace", "debug", "info", "warning", "warn", "error", "critical", "off"];

export interface EnvoyLogLevels {
  readonly logLevel: string;
  /** `misc:error,upstream:debug`. */
  readonly componentLogLevel: string | undefined;
}

/** `warning`, or `info,misc:error`; the flag for components counts when the other names none (as the peer does). */
export function readEnvoyLogLevels(flags: FlagReader): EnvoyLogLevels {
  const [name, text] = firstGiven(flags, ["proxyLogLevel", "log-level"]);
  const [componentName, componentText] = firstGiven(flags, ["proxyComponentLogLevel", "component-log-level"]);
  const parts = (text ?? "").split(",").filter((part) => part !== "");
  const own = parts.filter((part) => !part.includes(":"));
  const level = own.at(-1) ?? "warning";
  if (!envoyLevels.includes(level)) flags.problem(name, `"${level}" is no level; use one of ${envoyLevels.join(", ")}`);
  const components = checkedComponents(
    flags,
    name,
    parts.filter((part) => part.includes(":")),
  );
  const separate = checkedComponents(
    flags,
    componentName,
    (componentText ?? "").split(",").filter((part) => part !== ""),
  );
  const chosen = components.length > 0 ? components : separate;
  return { logLevel: level, componentLogLevel: chosen.length > 0 ? chosen.join(",") : undefined };
}

function firstGiven(flags: FlagReader, names: readonly [string, ...string[]]): readonly [string, string | undefined] {
  const name = names.find((one) => flags.text(one) !== undefined) ?? names[0];
  return [name, flags.text(name)];
}

function checkedComponents(flags: FlagReader, name: string, parts: readonly string[]): readonly string[] {
  return parts.filter((part) => {
    const level = /^[\w.*/-]+:(\w+)$/.exec(part)?.[1];
    if (level !== undefined && envoyLevels.includes(level)) return true;
    flags.problem(name, `"${part}" can't be used; use NAME:LEVEL with one of ${envoyLevels.join(", ")}`);
    return false;
  });
}
