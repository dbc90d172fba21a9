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
  for (let index = old.length - 1; index >= 0; index--) {
    if (!stays.has(old[index] ?? "")) out.push({ op: "remove", path: pointerOf([...path, String(index)]) });
  }
  after.forEach((value, index) => {
    const name = nameIn(field, value) ?? "";
    if (!stays.has(name)) out.push({ op: "add", path: pointerOf([...path, String(index)]), value });
  });
  after.forEach((value, index) => {
    const name = nameIn(field, value) ?? "";
    if (stays.has(name)) compare([...path, String(index)], before[old.indexOf(name)] ?? null, value, out);
  });
}

/** Names that keep their order from one list to the other, as many as can be. */
function longestCommon(left: readonly string[], right: readonly string[]): ReadonlySet<string> {
  const place = new Map(left.map((name, index) => [name, index]));
  // Longest rising run of places: each entry is the best chain that ends here.
  const chains: { readonly place: number; readonly names: readonly string[] }[] = [];
  for (const name of right) {
    const at = place.get(name);
    if (at === undefined) continue;
    const before = chains.filter((chain) => chain.place < at).reduce<readonly string[]>(longer, []);
    chains.push({ place: at, names: [...before, name] });
  }
  return new Set(chains.map((chain) => ({ names: chain.names })).reduce<readonly string[]>(longer, []));
}

const longer = (best: readonly string[], chain: { readonly names: readonly string[] }): readonly string[] =>
  chain.names.length > best.length ? chain.names : best;

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
