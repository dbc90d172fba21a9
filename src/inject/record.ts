import {
  equal,
  isArray,
  isObject,
  type Json,
  type JsonObject,
  objectOr,
  own,
  pointerOf,
  stepsOf,
  withKey,
  without,
} from "./json-value.ts";
import { nameIn, namesIn } from "./merge-keys.ts";

/**
 * What injection did to a pod, written so that it can be undone: pointers are JSON pointers with *names* where a list
 * has named elements, so that the record still fits after somebody else has added to the pod.
 */
export interface InjectionRecord {
  /** What was not there. */
  readonly added: readonly string[];
  /** What was there and is now different or gone. */
  readonly was: Readonly<Record<string, Json>>;
  /** Names in their former order, for lists whose order can't be told from the rest. */
  readonly order: Readonly<Record<string, readonly string[]>>;
  /** Maps and lists that were not there: they go when nothing of anybody is left in them. */
  readonly dropWhenEmpty: readonly string[];
}

/** Maps and lists that others add to as well, so that ours must be told from theirs. */
const shared = new Set([
  "/metadata",
  "/metadata/labels",
  "/metadata/annotations",
  "/spec/volumes",
  "/spec/initContainers",
  "/spec/imagePullSecrets",
]);

interface Draft {
  readonly added: string[];
  readonly was: [string, Json][];
  readonly order: [string, readonly string[]][];
  readonly dropWhenEmpty: string[];
}

/**
 * What must be done to turn `after` into `before`. `whole`: names of containers that are kept as one value when they
 * are different (the user's own proxy container, which is merged with ours beyond recognition).
 */
export function recordOf(before: JsonObject, after: JsonObject, whole: ReadonlySet<string>): InjectionRecord {
  const draft: Draft = { added: [], was: [], order: [], dropWhenEmpty: [] };
  compareObjects([], before, after, draft, whole);
  return { ...draft, was: Object.fromEntries(draft.was), order: Object.fromEntries(draft.order) };
}

function compareObjects(
  path: readonly string[],
  before: JsonObject,
  after: JsonObject,
  draft: Draft,
  whole: ReadonlySet<string>,
): void {
  for (const [key, value] of Object.entries(before)) {
    const now = own(after, key);
    if (now === undefined) draft.was.push([pointerOf([...path, key]), value]);
    else compareValues([...path, key], value, now, draft, whole);
  }
  for (const [key, value] of Object.entries(after)) {
    if (!Object.hasOwn(before, key)) noteAdded([...path, key], value, draft);
  }
}

function noteAdded(path: readonly string[], value: Json, draft: Draft): void {
  const pointer = pointerOf(path);
  const field = path.at(-1) ?? "";
  const parts = isObject(value) ? Object.keys(value) : namesIn(field, value);
  if (!shared.has(pointer) || parts === undefined) {
    draft.added.push(pointer);
    return;
  }
  for (const part of parts) noteAdded([...path, part], isObject(value) ? (own(value, part) ?? null) : null, draft);
  draft.dropWhenEmpty.push(pointer);
}

function compareValues(
  path: readonly string[],
  before: Json,
  after: Json,
  draft: Draft,
  whole: ReadonlySet<string>,
): void {
  if (equal(before, after)) return;
  const field = path.at(-1) ?? "";
  if (isObject(before) && isObject(after)) compareObjects(path, before, after, draft, whole);
  else if (isArray(before) && isArray(after) && namesIn(field, before) && namesIn(field, after)) {
    compareNamed(path, before, after, draft, whole);
  } else draft.was.push([pointerOf(path), before]);
}

function compareNamed(
  path: readonly string[],
  before: readonly Json[],
  after: readonly Json[],
  draft: Draft,
  whole: ReadonlySet<string>,
): void {
  const field = path.at(-1) ?? "";
  const [oldNames, newNames] = [namesIn(field, before) ?? [], namesIn(field, after) ?? []];
  const now = new Map(newNames.map((name, index) => [name, after[index]]));
  const known = new Set(oldNames);
  oldNames.forEach((name, index) => {
    const [was, is] = [before[index] as Json, now.get(name)];
    if (is === undefined || (whole.has(name) && !equal(was, is))) draft.was.push([pointerOf([...path, name]), was]);
    else compareValues([...path, name], was, is, draft, whole);
  });
  for (const name of newNames) if (!known.has(name)) draft.added.push(pointerOf([...path, name]));
  const kept = newNames.filter((name) => known.has(name));
  const gone = oldNames.filter((name) => !now.has(name));
  // Of several that are gone nobody could say which comes first.
  if (gone.length > 1 || !equal([...kept, ...gone], oldNames)) draft.order.push([pointerOf(path), oldNames]);
}

/** Takes the injection back. What does not fit any more (somebody removed a container) is left out silently. */
export function restore(after: JsonObject, record: InjectionRecord): JsonObject {
  let result = after;
  for (const pointer of record.added) result = change(result, stepsOf(pointer), () => undefined);
  for (const [pointer, value] of Object.entries(record.was)) result = change(result, stepsOf(pointer), () => value);
  for (const [pointer, names] of Object.entries(record.order)) {
    const steps = stepsOf(pointer);
    result = change(result, steps, (list) => reordered(steps.at(-1) ?? "", list, names));
  }
  for (const pointer of record.dropWhenEmpty) {
    result = change(result, stepsOf(pointer), (value) => (isEmpty(value) ? undefined : value));
  }
  return result;
}

const isEmpty = (value: Json | undefined): boolean =>
  isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;

type Change = (value: Json | undefined) => Json | undefined;

function change(object: JsonObject, steps: readonly string[], how: Change): JsonObject {
  const [step, ...rest] = steps;
  if (step === undefined) return object;
  const value = own(object, step);
  if (rest.length === 0) return how(value) === undefined ? without(object, step) : withKey(object, step, how(value));
  if (isObject(value)) return withKey(object, step, change(value, rest, how));
  if (isArray(value)) return withKey(object, step, changeNamed(step, value, rest, how));
  return object;
}

function changeNamed(field: string, list: readonly Json[], steps: readonly string[], how: Change): readonly Json[] {
  const [name, ...rest] = steps;
  const index = list.findIndex((element) => nameIn(field, element) === name);
  if (rest.length > 0) {
    return list.map((element, at) => (at === index ? change(objectOr(element), rest, how) : element));
  }
  const value = how(index < 0 ? undefined : list[index]);
  if (value === undefined) return list.filter((_, at) => at !== index);
  return index < 0 ? [...list, value] : list.map((element, at) => (at === index ? value : element));
}

/** The named elements in the given order, everybody else's behind them. */
function reordered(field: string, list: Json | undefined, names: readonly string[]): Json | undefined {
  if (!isArray(list)) return list;
  const place = (element: Json): number => {
    const index = names.indexOf(nameIn(field, element) ?? "");
    return index < 0 ? names.length : index;
  };
  return [...list].sort((left, right) => place(left) - place(right));
}
