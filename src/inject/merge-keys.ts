import { isArray, isObject, type Json, type JsonObject } from "./json-value.ts";

/**
 * Lists of a pod whose elements have a name, as Kubernetes' strategic merge knows them (patchMergeKey in its API): an
 * element is found by this field, not by its place. Every other list is one value.
 */
const mergeKeys: Readonly<Record<string, readonly string[]>> = {
  containers: ["name"],
  initContainers: ["name"],
  ephemeralContainers: ["name"],
  volumes: ["name"],
  imagePullSecrets: ["name"],
  env: ["name"],
  volumeMounts: ["mountPath"],
  volumeDevices: ["devicePath"],
  ports: ["containerPort", "protocol"],
  hostAliases: ["ip"],
};

const defaults: Readonly<Record<string, string>> = { protocol: "TCP" };

/** The element's name within the list `field`, or undefined when it has none. */
export function nameIn(field: string, element: Json | undefined): string | undefined {
  const keys = Object.hasOwn(mergeKeys, field) ? mergeKeys[field] : undefined;
  if (keys === undefined || !isObject(element)) return undefined;
  const parts = keys.map((key) => keyText(element, key));
  return parts.includes(undefined) ? undefined : parts.join("/");
}

function keyText(element: JsonObject, key: string): string | undefined {
  const value = Object.hasOwn(element, key) ? element[key] : defaults[key];
  return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
}

/** A list whose elements all have a name of their own: the names in order. Undefined for every other value. */
export function namesIn(field: string, list: Json | undefined): readonly string[] | undefined {
  if (!isArray(list)) return undefined;
  const names = list.map((element) => nameIn(field, element));
  if (names.includes(undefined) || new Set(names).size !== names.length) return undefined;
  return names as readonly string[];
}

/** Whether a list called `field` can have named elements at all. */
export const isNamedList = (field: string): boolean => Object.hasOwn(mergeKeys, field);
