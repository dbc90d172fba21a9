import { isArray, isObject, type Json, type JsonObject, objectOr, own, textOf, withKey } from "./json-value.ts";
import type { Pod } from "./pod-shape.ts";
import { strategicMerge } from "./strategic-merge.ts";
import { ourNames } from "./user-containers.ts";

/**
 * An overlay is a part of a pod in YAML. It has no holes to be filled: no value of a pod can change what it means.
 */
const lists = ["containers", "initContainers"] as const;

/** What the overlay says about one of our containers, wherever it says it. */
export function overlayFor(overlay: JsonObject, name: string): JsonObject | undefined {
  const spec = objectOr(own(overlay, "spec"));
  for (const field of lists) {
    const found = elements(spec, field).find((one) => textOf(objectOr(one)["name"]) === name);
    if (isObject(found)) return found;
  }
  return undefined;
}

/** Lays the rest of the overlay upon the pod; our own containers have had theirs. */
export function layOverlay(pod: Pod, overlay: JsonObject): Pod {
  const spec = objectOr(own(overlay, "spec"));
  const rest = lists.reduce(
    (result, field) =>
      isArray(own(spec, field))
        ? withKey(
            result,
            field,
            elements(spec, field).filter((one) => !isOurs(one)),
          )
        : result,
    spec,
  );
  return {
    metadata: strategicMerge(pod.metadata, objectOr(own(overlay, "metadata"))),
    spec: strategicMerge(pod.spec, rest),
  };
}

const isOurs = (element: Json): boolean => ourNames.has(textOf(objectOr(element)["name"]) ?? "");

function elements(spec: JsonObject, field: string): readonly Json[] {
  const list = own(spec, field);
  return isArray(list) ? list : [];
}
