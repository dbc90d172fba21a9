import { parse } from "yaml";
import type { Problem } from "../foundation/errors.ts";
import type { InjectorConfig } from "./injector-config.ts";
import { readInjectorConfig } from "./injector-config-reader.ts";
import { type Json, type JsonObject, objectOr, own, withKey } from "./json-value.ts";
import { readManifests } from "./yaml-stream.ts";

export interface ConfigText {
  /** The file's text; undefined: everything is the default. */
  readonly text: string | undefined;
  /** How problems name the file. */
  readonly path: string;
  /** `a.b=value` in the order given; they win over the file. */
  readonly sets: readonly string[];
  /** For the default image's tag. */
  readonly version: string;
}

/** The injector's configuration from its file and from --set; every problem with file and line or with its --set. */
export function parseInjectorConfig(from: ConfigText, problems: Problem[]): InjectorConfig {
  const found: Problem[] = [];
  const file = from.text === undefined ? undefined : readManifests(from.text, from.path, found);
  const document = file?.documents[0];
  if ((file?.documents.length ?? 0) > 1)
    found.push({ name: from.path, text: "it holds more than one document; one is read" });
  if (document !== undefined && document.value === undefined && from.text?.trim() !== "") {
    found.push({ name: from.path, text: "it is not a map of settings" });
  }
  const value = from.sets.reduce((map, set) => withSet(map, set, found), document?.value ?? {});
  const settings: Problem[] = [];
  const config = readInjectorConfig(value, from.version, settings);
  const placed = settings.map(({ name, text }) => {
    const set = from.sets.find((one) => one.startsWith(`${name}=`));
    if (set !== undefined) return { name: `--set ${set}`, text };
    const pointer = `/${name.replaceAll("[", ".").replaceAll("]", "").replaceAll(".", "/")}`;
    return { name: document === undefined ? name : `${from.path}:${document.lineOf(pointer)} ${name}`, text };
  });
  problems.push(...found, ...placed);
  return config;
}

/** The value is read as YAML: `true`, `15020`, `[a, b]`, `{a: b}`, text. A dot inside a key is written `\.`. */
function withSet(map: JsonObject, set: string, problems: Problem[]): JsonObject {
  const [, path = "", text = ""] = /^([^=]+)=([\s\S]*)$/.exec(set) ?? [];
  if (path === "") {
    problems.push({ name: `--set ${set}`, text: "write it as name=value or a.b=value" });
    return map;
  }
  try {
    const steps = path.split(/(?<!\\)\./).map((step) => step.replaceAll("\\.", "."));
    return at(map, steps, parse(text) as Json);
  } catch {
    problems.push({ name: `--set ${set}`, text: "its value is no YAML; put a text with special characters in quotes" });
    return map;
  }
}

function at(map: JsonObject, steps: readonly string[], value: Json): JsonObject {
  const [step = "", ...rest] = steps;
  return withKey(map, step, rest.length === 0 ? value : at(objectOr(own(map, step)), rest, value));
}
