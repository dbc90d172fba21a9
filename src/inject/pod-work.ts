import type { PodFacts } from "./inject-pod.ts";
import type { InjectorConfig } from "./injector-config.ts";
import type { JsonObject } from "./json-value.ts";
import type { Owner } from "./pod-kinds.ts";
import type { Pod } from "./pod-shape.ts";
import type { MetricsMerge } from "./prometheus-merge.ts";
import type { Settings } from "./settings.ts";

/** One pod that is going to be injected, and everything that was read about it. */
export interface Work {
  /** The whole object, with whatever else it holds. */
  readonly bare: JsonObject;
  readonly pod: Pod;
  readonly marks: { readonly labels: ReadonlyMap<string, string>; readonly annotations: ReadonlyMap<string, string> };
  readonly settings: Settings;
  readonly metrics: MetricsMerge | undefined;
  readonly facts: PodFacts;
  readonly config: InjectorConfig;
}

/** A generateName ends in a dash that no workload has. */
export function namedOwner(owner: Owner): Owner {
  let end = owner.name.length;
  while (end > 0 && owner.name[end - 1] === "-") end--;
  return { ...owner, name: owner.name.slice(0, end) };
}
