import { isObject, type JsonObject, objectOr, objectsOf, own, stringOr, textOf, withKey } from "./json-value.ts";

/** Which pod a document holds, and who will own the pods made from it. */
export interface PodPlace {
  /** Keys from the document to the object that has the pod's `metadata` and `spec`; empty for a Pod. */
  readonly path: readonly string[];
  readonly owner: Owner;
}

/** Whom istiod and our telemetry shall see as the workload. */
export interface Owner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  /** As written; undefined when the document leaves it to kubectl. */
  readonly namespace: string | undefined;
}

const template = ["spec", "template"] as const;

/** Kinds that hold a pod (capture-and-injection.md 5.2); everybody else's pass unchanged. */
const places: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  ["Pod", []],
  ["Deployment", template],
  ["DaemonSet", template],
  ["ReplicaSet", template],
  ["ReplicationController", template],
  ["StatefulSet", template],
  ["DeploymentConfig", template],
  ["Job", template],
  ["CronJob", ["spec", "jobTemplate", "spec", "template"]],
]);

export const podKinds: readonly string[] = [...places.keys(), "List"];

export const isList = (document: JsonObject): boolean =>
  stringOr(own(document, "kind"), "").endsWith("List") && Array.isArray(own(document, "items"));

/** Where the pod is, or undefined when this kind holds none. */
export function podPlace(document: JsonObject): PodPlace | undefined {
  const kind = stringOr(own(document, "kind"), "");
  const path = places.get(kind);
  if (path === undefined) return undefined;
  return { path, owner: kind === "Pod" ? ownerOfPod(document) : ownerOf(document) };
}

function ownerOf(document: JsonObject): Owner {
  const metadata = objectOr(document["metadata"]);
  return {
    apiVersion: stringOr(document["apiVersion"], "v1"),
    kind: stringOr(document["kind"], "Pod"),
    name: stringOr(metadata["name"], stringOr(metadata["generateName"], "")),
    namespace: textOf(metadata["namespace"]),
  };
}

/**
 * A bare pod owns itself. A pod that a controller made belongs to the controller; a ReplicaSet named after a
 * pod-template-hash belongs to a Deployment and a Job named after a time to a CronJob, which the pod alone can tell.
 */
function ownerOfPod(pod: JsonObject): Owner {
  const metadata = objectOr(pod["metadata"]);
  const controller = objectsOf(metadata["ownerReferences"]).find((one) => one["controller"] === true);
  if (controller === undefined) return ownerOf(pod);
  const owner: Owner = {
    apiVersion: stringOr(controller["apiVersion"], "v1"),
    kind: stringOr(controller["kind"], "Pod"),
    name: stringOr(controller["name"], ""),
    namespace: textOf(metadata["namespace"]),
  };
  const hash = textOf(objectOr(metadata["labels"])["pod-template-hash"]);
  if (owner.kind === "ReplicaSet" && hash !== undefined && owner.name.endsWith(`-${hash}`)) {
    return { ...owner, kind: "Deployment", name: owner.name.slice(0, -hash.length - 1) };
  }
  const scheduled = owner.kind === "Job" ? /^(.+)-\d{8,}$/.exec(owner.name)?.[1] : undefined;
  return scheduled === undefined ? owner : { ...owner, kind: "CronJob", name: scheduled };
}

/** The object at `path`; undefined when a step is no object. */
export function objectAt(document: JsonObject, path: readonly string[]): JsonObject | undefined {
  let current: JsonObject = document;
  for (const step of path) {
    const next = own(current, step);
    if (!isObject(next)) return undefined;
    current = next;
  }
  return current;
}

/** The document with the object at `path` replaced. */
export function withObjectAt(document: JsonObject, path: readonly string[], value: JsonObject): JsonObject {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  return withKey(document, step, withObjectAt(objectOr(own(document, step)), rest, value));
}
