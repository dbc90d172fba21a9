import type { Json, JsonObject } from "../config/agent-config.ts";

/**
 * JSON with sorted keys and two spaces, so that the same configuration gives the same bytes and a difference of two
 * bootstraps is a difference of two configurations. Text that is no valid Unicode (a lone half of a surrogate pair,
 * which only a `\ud800` in somebody's JSON can bring) becomes U+FFFD: Envoy would refuse the whole file.
 */
export function bootstrapText(value: Json): string {
  return `${print(value, "")}\n`;
}

function print(value: Json, indent: string): string {
  if (typeof value === "string") return JSON.stringify(value.toWellFormed());
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const deeper = `${indent}  `;
  const [open, close, lines] = isList(value)
    ? ["[", "]", value.map((one) => print(one, deeper))]
    : [
        "{",
        "}",
        sortedEntries(value).map(([key, one]) => `${JSON.stringify(key.toWellFormed())}: ${print(one, deeper)}`),
      ];
  if (lines.length === 0) return open + close;
  return `${open}\n${lines.map((line) => deeper + line).join(",\n")}\n${indent}${close}`;
}

const isList = (value: readonly Json[] | JsonObject): value is readonly Json[] => Array.isArray(value);

const sortedEntries = (value: JsonObject): [string, Json][] =>
  Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
