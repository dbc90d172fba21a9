import { type Json, type JsonObject, objectsOf, own, stringOr, withKey } from "./json-value.ts";
import { initName, proxyName, validationName } from "./names.ts";
import type { Container } from "./pod-shape.ts";
import { strategicMerge } from "./strategic-merge.ts";

/** What the pod's author wrote, with his wishes for our own containers taken out. */
export interface UserContainers {
  readonly containers: readonly Container[];
  readonly initContainers: readonly Container[];
  /** The user's own istio-proxy, istio-init and istio-validation by name; of two the first. */
  readonly ours: ReadonlyMap<string, JsonObject>;
}

export const ourNames: ReadonlySet<string> = new Set([proxyName, initName, validationName]);

export function userContainers(spec: JsonObject): UserContainers {
  const [all, inits] = [containersIn(spec, "containers"), containersIn(spec, "initContainers")];
  const ours = new Map<string, JsonObject>();
  for (const one of [...all, ...inits]) if (ourNames.has(one.name) && !ours.has(one.name)) ours.set(one.name, one);
  const users = (list: readonly Container[]) => list.filter((one) => !ourNames.has(one.name));
  return { containers: users(all), initContainers: users(inits), ours };
}

const isContainer = (value: JsonObject): value is Container => typeof own(value, "name") === "string";

const containersIn = (spec: JsonObject, field: string): readonly Container[] =>
  objectsOf(own(spec, field)).filter(isContainer);

/** An init container that stays: Kubernetes' native sidecar. */
export const isNativeSidecar = (container: Container): boolean => own(container, "restartPolicy") === "Always";

/** Our container with the wishes of overlays and of the user laid upon it; image "auto" is ours. */
export function mergedContainer(base: JsonObject, wishes: readonly (JsonObject | undefined)[]): JsonObject {
  const image = own(base, "image") as Json;
  let result = base;
  for (const wish of wishes) if (wish !== undefined) result = strategicMerge(result, wish);
  return ["auto", ""].includes(stringOr(own(result, "image"), "")) ? withKey(result, "image", image) : result;
}

/** Where each container stands in the user's own pod, for notes. */
export function placesIn(spec: JsonObject): (container: JsonObject) => readonly string[] {
  const places = new Map<JsonObject, readonly string[]>();
  for (const field of ["initContainers", "containers"]) {
    for (const [index, one] of objectsOf(own(spec, field)).entries()) places.set(one, ["spec", field, String(index)]);
  }
  return (container) => places.get(container) ?? ["spec"];
}
