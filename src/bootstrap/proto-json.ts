import type { Json, JsonObject } from "../config/agent-config.ts";

/**
 * Envoy reads its bootstrap as protobuf's JSON: each field may be written in snake_case or in camelCase, and a second
 * document is merged into the first by protobuf's rules. These are those rules, for the few fields that we look at.
 */

/** The field by its snake_case name, in either spelling. */
export function field(message: Json | undefined, name: string): Json | undefined {
  if (!isObject(message)) return undefined;
  return own(message, name) ?? own(message, camelCase(name));
}

/** A field of a field of a field. */
export const path = (message: Json | undefined, ...names: readonly string[]): Json | undefined =>
  names.reduce<Json | undefined>(field, message);

/** The field as a list; empty when it is none. */
export function list(message: Json | undefined, name: string): readonly Json[] {
  const value = field(message, name);
  return isList(value) ? value : [];
}

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !isList(value);

export const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);

const own = (message: JsonObject, name: string): Json | undefined =>
  Object.hasOwn(message, name) ? (message[name] ?? undefined) : undefined;

const camelCase = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** Members of a oneof that matter to us: setting one of them unsets the others. */
const oneofs: readonly (readonly string[])[] = [
  ["socket_address", "pipe", "envoy_internal_address"],
  ["ads", "api_config_source", "path", "path_config_source", "self"],
];

/**
 * What Envoy has after it merged `over` into `base` (protobuf's MergeFrom): messages field by field, lists one after
 * the other, everything else replaced. All fields in snake_case.
 */
export function merged(base: JsonObject, over: JsonObject): JsonObject {
  const result = new Map(Object.entries(base).map(([key, value]) => [snakeCase(key), value]));
  for (const [written, value] of Object.entries(over)) {
    const key = snakeCase(written);
    const before = result.get(key);
    if (isList(value) && isList(before)) result.set(key, [...before, ...value]);
    else if (isObject(value) && isObject(before)) result.set(key, merged(before, value));
    else result.set(key, value);
    for (const others of oneofs)
      if (others.includes(key)) for (const other of others) if (other !== key) result.delete(other);
  }
  return Object.fromEntries(result);
}

/** Only names of fields have a second spelling; keys of maps (labels, extension names) stay as they are. */
const snakeCase = (name: string): string =>
  /^[a-z]+(?:[A-Z][a-z]*)+$/.test(name) ? name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : name;
