import type { AgentConfig, Json, JsonObject } from "../config/agent-config.ts";
import { readJson } from "../config/structured-text.ts";
import type { Problems } from "../foundation/problems.ts";
import { isObject } from "./proto-json.ts";

/** The texts of the user's files that this configuration names; undefined where it names none. */
export interface BootstrapFiles {
  /** `--templateFile`, or the template of `--controlPlaneBootstrap`. */
  readonly template?: string | undefined;
  /** `customConfigFile` or `-c FILE`. */
  readonly custom?: string | undefined;
  /** ISTIO_BOOTSTRAP_OVERRIDE. */
  readonly override?: string | undefined;
  /** Addresses of host names that Envoy can't look up itself (statsd). */
  readonly resolved?: ReadonlyMap<string, string>;
}

/** A user's file, read: its value, and the text for Envoy. */
export interface UserDocument {
  readonly value: JsonObject;
  readonly text: string;
  readonly format: "json" | "yaml";
}

/**
 * Reads JSON, or YAML when it is not JSON. `edit` changes strings and may set whole fields; the text that Envoy gets
 * changes only there, because its YAML reader understands some words (`on`, `no`) in its own way.
 */
export async function readUserDocument(
  name: string,
  text: string,
  problems: Problems,
  edit: DocumentEdit = {},
): Promise<UserDocument | undefined> {
  const json = readJson(text);
  if (json.ok) return asDocument(name, await editedJson(json.value, text, edit), "json", problems);
  if (looksLikeJson(text)) {
    problems.add(name, `cannot read it as JSON: ${json.why}${line(json.line)}`);
    return undefined;
  }
  const { editYaml } = await import("./edit-yaml.ts");
  const yaml = editYaml(text, edit);
  if (yaml.ok) return asDocument(name, yaml, "yaml", problems);
  problems.add(name, `cannot read it as YAML: ${yaml.why}${line(yaml.line)}`);
  return undefined;
}

export interface DocumentEdit {
  /** Another text for a string value; the same text leaves it alone. */
  readonly string?: (text: string) => string;
  /** A field to add at the top when the document has none of the name. */
  readonly add?: (value: JsonObject) => JsonObject;
}

interface Edited {
  readonly value: Json;
  readonly text: string;
}

function editedJson(value: Json, text: string, edit: DocumentEdit): Promise<Edited> | Edited {
  const changed = edit.string === undefined ? value : mapStrings(value, edit.string);
  const added = isObject(changed) && edit.add !== undefined ? { ...changed, ...edit.add(changed) } : changed;
  const same = JSON.stringify(added) === JSON.stringify(value);
  return { value: added, text: same ? text : `${JSON.stringify(added, undefined, 2)}\n` };
}

export function mapStrings(value: Json, change: (text: string) => string): Json {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((one: Json) => mapStrings(one, change));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, mapStrings(one, change)]));
}

function asDocument(
  name: string,
  { value, text }: Edited,
  format: UserDocument["format"],
  problems: Problems,
): UserDocument | undefined {
  if (isObject(value)) return { value, text, format };
  const hint = isGoTemplate(text) ? `; ${GO_TEMPLATE}` : "";
  problems.add(name, `it is ${kindOf(value)}, not an object with fields such as "admin" or "static_resources"${hint}`);
  return undefined;
}

const kindOf = (value: Json): string =>
  value === null ? "empty" : Array.isArray(value) ? "a list" : `a ${typeof value}`;

const line = (number: number | undefined): string => (number === undefined ? "" : ` in line ${number}`);

export const GO_TEMPLATE =
  "it is a Go template of pilot-agent, which pilotfish does not read; write it anew as docs/bootstrap.md shows";

/** `{{ .nodeID }}`, `{{- if .zipkin }}`: what stands in pilot-agent's own templates. */
export const isGoTemplate = (text: string): boolean =>
  /\{\{-?\s*(?:\.|\$|if\b|range\b|else\b|end\b|with\b|toJson\b)/.test(text);

/** A text that begins with a brace is meant as JSON; YAML's complaint about it would only confuse. */
const looksLikeJson = (text: string): boolean => /^\s*\{\s*(?:"|\})/.test(text);

/**
 * `$(HOST_IP)` of an override file, by the node's address. An IPv6 address gets brackets where a port follows and
 * stays bare where it stands alone, because Envoy refuses brackets in an `address`.
 */
export function hostIpReplaced(config: AgentConfig, name: string, problems: Problems): (text: string) => string {
  const { hostIp } = config.node;
  let told = false;
  return (text) => {
    if (!text.includes("$(HOST_IP)")) return text;
    if (hostIp === undefined) {
      if (told) return text;
      told = true;
      problems.add(name, '"$(HOST_IP)" stands in it, but HOST_IP is not set; set it to the address of the node');
      return text;
    }
    const bracketed = hostIp.includes(":") ? `[${hostIp}]` : hostIp;
    return text === "$(HOST_IP)" ? hostIp : text.replaceAll("$(HOST_IP)", bracketed);
  };
}
