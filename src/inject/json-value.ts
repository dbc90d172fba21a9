import type { Json, JsonObject } from "../config/agent-config.ts";

/** Reading and changing JSON that somebody else wrote: nothing here throws, nothing changes its input. */

export type { Json, JsonObject };

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const isArray = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);

/** The object, or an empty one when it is something else. */
export const objectOr = (value: Json | undefined): JsonObject => (isObject(value) ? value : {});

/** The elements that are objects; nothing when it is no list. */
export const objectsOf = (value: Json | undefined): readonly JsonObject[] =>
  isArray(value) ? value.filter(isObject) : [];

export const stringOr = (value: Json | undefined, fallback: string): string =>
  typeof value === "string" ? value : fallback;

/** The text, or undefined for anything else. */
export const textOf = (value: Json | undefined): string | undefined => (typeof value === "string" ? value : undefined);

/** An object's own value; never something inherited, whatever the key is called. */
export const own = (object: JsonObject, key: string): Json | undefined =>
  Object.hasOwn(object, key) ? object[key] : undefined;

/** A copy without one key. */
export const without = (object: JsonObject, key: string): JsonObject =>
  Object.fromEntries(Object.entries(object).filter(([one]) => one !== key));

/** A copy with one key set; undefined takes it away. A new key goes to the end. */
export const withKey = (object: JsonObject, key: string, value: Json | undefined): JsonObject =>
  value === undefined ? without(object, key) : { ...object, [key]: value };

/** A copy without the keys whose value is undefined: for objects that are written with optional parts. */
export function defined(object: Readonly<Record<string, Json | undefined>>): JsonObject {
  return Object.fromEntries(Object.entries(object).filter((entry): entry is [string, Json] => entry[1] !== undefined));
}

/** Same value; the order of an object's keys does not count. */
export function equal(left: Json | undefined, right: Json | undefined): boolean {
  if (left === right) return true;
  if (isArray(left) && isArray(right)) {
    return left.length === right.length && left.every((one, index) => equal(one, right[index]));
  }
  if (!isObject(left) || !isObject(right)) return false;
  const keys = Object.keys(left);
  return (
    keys.length === Object.keys(right).length &&
    keys.every((key) => Object.hasOwn(right, key) && equal(left[key], right[key]))
  );
}

/** Deeper or longer than any manifest; what we do grows with the square of a list's length and with the stack. */
export const bounds = { depth: 100, list: 5_000 } as const;

/** Why a value is too large to be worked on; undefined when it is not. A loop, so that no depth overflows the stack. */
export function tooLarge(value: Json): string | undefined {
  let level: readonly Json[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > bounds.depth) return `it is nested deeper than ${bounds.depth} levels`;
    if (level.some((one) => isArray(one) && one.length > bounds.list)) {
      return `it has a list of more than ${bounds.list} elements`;
    }
    level = level.flatMap((one) => (isArray(one) ? one : isObject(one) ? Object.values(one) : []));
  }
  return undefined;
}

/** A step of a JSON pointer (RFC 6901), escaped. */
export const escapeStep = (step: string): string => step.replaceAll("~", "~0").replaceAll("/", "~1");
export const unescapeStep = (step: string): string => step.replaceAll("~1", "/").replaceAll("~0", "~");
/** `["metadata", "labels", "a/b"]` -> `/metadata/labels/a~1b`. */
export const pointerOf = (steps: readonly string[]): string => steps.map((step) => `/${escapeStep(step)}`).join("");
export const stepsOf = (pointer: string): readonly string[] =>
  pointer === "" ? [] : pointer.slice(1).split("/").map(unescapeStep);

/** JSON with the keys of every object in order: the same value is always the same text. */
export const stableText = (value: Json): string => JSON.stringify(ordered(value));

function ordered(value: Json): Json {
  if (isArray(value)) return value.map(ordered);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(entries.map(([key, one]) => [key, ordered(one)]));
}
