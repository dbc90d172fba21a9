import {
  equal,
  isArray,
  isObject,
  type Json,
  type JsonObject,
  own,
  pointerOf,
  stepsOf,
  withKey,
  without,
} from "./json-value.ts";
import { nameIn, namesIn } from "./merge-keys.ts";

/** RFC 6902, as far as a difference needs it. */
export type Operation =
  | { readonly op: "add"; readonly path: string; readonly value: Json }
  | { readonly op: "replace"; readonly path: string; readonly value: Json }
  | { readonly op: "remove"; readonly path: string };

/**
 * The operations that make `after` of `before`: only what is different, always in the same order (removals, then
 * additions and changes, in the order of the document). Elements of named lists are followed by name, so that a
 * container put in front does not rewrite those behind it.
 */
export function difference(before: Json, after: Json): readonly Operation[] {
  const operations: Operation[] = [];
  compare([], before, after, operations);
  return operations;
}

function compare(path: readonly string[], before: Json, after: Json, out: Operation[]): void {
  if (equal(before, after)) return;
  if (isObject(before) && isObject(after)) return compareObjects(path, before, after, out);
  const field = path.at(-1) ?? "";
  if (isArray(before) && isArray(after)) {
    const [old, now] = [namesIn(field, before), namesIn(field, after)];
    if (old !== undefined && now !== undefined) return compareLists(path, before, after, out);
  }
  out.push({ op: "replace", path: pointerOf(path), value: after });
}

function compareObjects(path: readonly string[], before: JsonObject, after: JsonObject, out: Operation[]): void {
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(after, key)) out.push({ op: "remove", path: pointerOf([...path, key]) });
  }
  for (const [key, value] of Object.entries(after)) {
    const was = own(before, key);
    if (was === undefined) out.push({ op: "add", path: pointerOf([...path, key]), value });
    else compare([...path, key], was, value, out);
  }
}

/** What cannot stay in place is taken out from the end; then the new ones go in from the front, at their final places. */
function compareLists(
  path: readonly string[],
  before: readonly Json[],
  after: readonly Json[],
  out: Operation[],
): void {
  const field = path.at(-1) ?? "";
  const [old, now] = [namesIn(field, before) ?? [], namesIn(field, after) ?? []];
  const stays = longestCommon(old, now);
  const was = new Map(old.map((name, index) => [name, before[index]]));
  for (let index = old.length - 1; index >= 0; index--) {
    if (!stays.has(old[index] ?? "")) out.push({ op: "remove", path: pointerOf([...path, String(index)]) });
  }
  after.forEach((value, index) => {
    const name = nameIn(field, value) ?? "";
    if (!stays.has(name)) out.push({ op: "add", path: pointerOf([...path, String(index)]), value });
  });
  after.forEach((value, index) => {
    const name = nameIn(field, value) ?? "";
    if (stays.has(name)) compare([...path, String(index)], was.get(name) ?? null, value, out);
  });
}

/** Names that keep their order from one list to the other, as many as can be: the longest rising run of places. */
function longestCommon(left: readonly string[], right: readonly string[]): ReadonlySet<string> {
  const place = new Map(left.map((name, index) => [name, index]));
  const rising = right.filter((name) => place.has(name)).map((name): Link => ({ name, place: place.get(name) ?? 0 }));
  // By length: of all runs of that length the one that ends at the smallest place (patience sorting).
  const tails: Link[] = [];
  let best: Link | undefined;
  for (const link of rising) {
    const length = lowerBound(tails, link.place);
    link.before = tails[length - 1];
    // Of several the first: the user's containers stay, and ours move around them.
    if (length === tails.length) best = link;
    tails[length] = link;
  }
  const names = new Set<string>();
  for (let link = best; link !== undefined; link = link.before) names.add(link.name);
  return names;
}

interface Link {
  readonly name: string;
  readonly place: number;
  before?: Link | undefined;
}

/** The first tail that does not lie before the place. */
function lowerBound(tails: readonly Link[], place: number): number {
  let [low, high] = [0, tails.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((tails[middle]?.place ?? 0) < place) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Carries a difference out. Only for patches that `difference` made: a step that does not exist is passed over. */
export function applyOperations(document: Json, operations: readonly Operation[]): Json {
  return operations.reduce((result, operation) => applyOne(result, stepsOf(operation.path), operation), document);
}

function applyOne(value: Json, steps: readonly string[], operation: Operation): Json {
  const [step, ...rest] = steps;
  if (step === undefined) return operation.op === "remove" ? null : operation.value;
  if (isArray(value)) return applyToList(value, Number(step), rest, operation);
  if (!isObject(value)) return value;
  if (rest.length > 0) return withKey(value, step, applyOne(own(value, step) ?? null, rest, operation));
  return operation.op === "remove" ? without(value, step) : withKey(value, step, operation.value);
}

function applyToList(list: readonly Json[], index: number, rest: readonly string[], operation: Operation): Json {
  if (rest.length > 0) return list.map((one, at) => (at === index ? applyOne(one, rest, operation) : one));
  if (operation.op === "remove") return list.filter((_, at) => at !== index);
  if (operation.op === "replace") return list.map((one, at) => (at === index ? operation.value : one));
  return [...list.slice(0, index), operation.value, ...list.slice(index)];
}
