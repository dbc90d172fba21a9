import type { Mode } from "./injector-config.ts";
import {
  isArray,
  isObject,
  type Json,
  type JsonObject,
  objectOr,
  own,
  pointerOf,
  stepsOf,
  textOf,
  tooLarge,
  withKey,
  without,
} from "./json-value.ts";
import { annotations, labels, proxyName } from "./names.ts";
import type { Pod } from "./pod-shape.ts";
import { type InjectionRecord, restore } from "./record.ts";

/**
 * The annotation sidecar.istio.io/status: Istio's fields (names of what was added), and under "pilotfish" what else is
 * needed to undo it. What the names already say is not said twice.
 */
const listFields = ["initContainers", "containers", "volumes", "imagePullSecrets"] as const;

export function statusText(record: InjectionRecord, mode: Mode, revision: string): string {
  const lists = listFields.map((field): [string, Json] => {
    const names = record.added.filter((pointer) => isElementOf(field, pointer)).map((one) => stepsOf(one).at(-1) ?? "");
    return [field, names.length === 0 ? null : names];
  });
  const rest = record.added.filter((pointer) => !listFields.some((field) => isElementOf(field, pointer)));
  const ours: JsonObject = {
    mode,
    added: rest.filter((pointer) => pointer !== statusPointer).sort(),
    ...(Object.keys(record.was).length === 0 ? {} : { was: sortedKeys(record.was) }),
    ...(Object.keys(record.order).length === 0 ? {} : { order: sortedKeys(record.order) }),
    ...(record.dropWhenEmpty.length === 0 ? {} : { dropWhenEmpty: record.dropWhenEmpty }),
  };
  return JSON.stringify({ ...Object.fromEntries(lists), revision, pilotfish: ours });
}

/** The same pod gives the same text, in whatever order somebody wrote its keys. */
const sortedKeys = <T>(map: Readonly<Record<string, T>>): Readonly<Record<string, T>> =>
  Object.fromEntries(Object.entries(map).sort(([left], [right]) => (left < right ? -1 : 1)));

const statusPointer = pointerOf(["metadata", "annotations", annotations.status]);

function isElementOf(field: string, pointer: string): boolean {
  const steps = stepsOf(pointer);
  return steps.length === 3 && steps[0] === "spec" && steps[1] === field;
}

/** The record that a pod carries; undefined when there is none of ours, or none that can be read. */
export function recordIn(metadata: JsonObject): InjectionRecord | undefined {
  const status = parsed(textOf(own(objectOr(metadata["annotations"]), annotations.status)));
  const ours = own(status, "pilotfish");
  if (!isObject(ours)) return undefined;
  const steps = [
    own(ours, "added"),
    own(ours, "was"),
    own(ours, "order"),
    ...listFields.map((one) => own(status, one)),
  ];
  if (steps.some((one) => sizeOf(one) > MOST_STEPS)) return undefined;
  const names = listFields.flatMap((field) =>
    textsIn(own(status, field)).map((name) => pointerOf(["spec", field, name])),
  );
  return {
    added: [...names, ...textsIn(own(ours, "added"))],
    was: objectOr(own(ours, "was")),
    order: Object.fromEntries(Object.entries(objectOr(own(ours, "order"))).map(([key, list]) => [key, textsIn(list)])),
    dropWhenEmpty: textsIn(own(ours, "dropWhenEmpty")),
  };
}

/** Far more than any injection writes: anybody can write an annotation, and each step copies a part of the pod. */
const MOST_STEPS = 500;

const sizeOf = (value: Json | undefined): number =>
  isArray(value) ? value.length : isObject(value) ? Object.keys(value).length : 0;

const textsIn = (value: Json | undefined): readonly string[] =>
  isArray(value) ? value.filter((one) => typeof one === "string") : [];

function parsed(text: string | undefined): JsonObject {
  try {
    const value = text === undefined ? {} : (JSON.parse(text) as Json);
    return tooLarge(value) === undefined ? objectOr(value) : {};
  } catch {
    return {};
  }
}

/** The pod as it was before we injected it; undefined when we did not. */
export function withoutInjection(pod: JsonObject): JsonObject | undefined {
  const metadata = objectOr(own(pod, "metadata"));
  const record = recordIn(metadata);
  if (record === undefined) return undefined;
  const bare = without(objectOr(metadata["annotations"]), annotations.status);
  return restore(withKey(pod, "metadata", withKey(metadata, "annotations", bare)), record);
}

/** Whether another injector (Istio's) has put its proxy into this pod, or ours did and its record is gone. */
export function injectedByOthers(pod: Pod): "other-injector" | "no-record" | undefined {
  const here = ["containers", "initContainers"].some((field) => {
    const list = own(pod.spec, field);
    return isArray(list) && list.some((one) => isObject(one) && own(one, "name") === proxyName);
  });
  if (!here) return undefined;
  if (own(objectOr(pod.metadata["labels"]), labels.injected) === "true") return "no-record";
  const status = parsed(textOf(own(objectOr(pod.metadata["annotations"]), annotations.status)));
  const names = [...textsIn(own(status, "containers")), ...textsIn(own(status, "initContainers"))];
  return names.includes(proxyName) ? "other-injector" : undefined;
}
