import type { PodMarks } from "./decision.ts";
import type { InjectorConfig } from "./injector-config.ts";
import { type JsonObject, objectOr, own, textOf } from "./json-value.ts";
import { annotations, labels } from "./names.ts";
import type { Owner } from "./pod-kinds.ts";
import type { Container } from "./pod-shape.ts";

/** A map of the metadata as text; anything else in it is left out. */
export function textsOf(metadata: JsonObject, field: "labels" | "annotations"): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(objectOr(own(metadata, field))).flatMap(([key, value]) => {
      const text = textOf(value);
      return text === undefined ? [] : [[key, text] as const];
    }),
  );
}

/** Labels that an injected pod has; what the user set of them stays, but for the two that keep injectors apart. */
export function injectedLabels(pod: PodMarks, owner: Owner): Readonly<Record<string, string>> {
  const first = (...names: readonly string[]): string | undefined =>
    names.map((name) => pod.labels.get(name)).find((value) => value !== undefined && value !== "");
  const name = first(labels.canonicalName, "app.kubernetes.io/name", "app") ?? owner.name;
  const revision = first(labels.canonicalRevision, "app.kubernetes.io/version", "version") ?? "latest";
  return {
    [labels.tlsMode]: pod.labels.get(labels.tlsMode) ?? "istio",
    ...(name === "" ? {} : { [labels.canonicalName]: pod.labels.get(labels.canonicalName) ?? shortened(name) }),
    [labels.canonicalRevision]: pod.labels.get(labels.canonicalRevision) ?? revision,
    [labels.injected]: "true",
    [labels.inject]: "false",
  };
}

/** A label's value has at most 63 characters and ends in a letter or a digit. */
const shortened = (name: string): string => name.slice(0, 63).replace(/[^A-Za-z0-9]+$/, "");

/** Annotations that an injected pod has, without the status. */
export function injectedAnnotations(
  pod: PodMarks,
  applications: readonly Container[],
  config: InjectorConfig,
): Readonly<Record<string, string>> {
  const main = pod.annotations.get(annotations.defaultContainer) ?? applications[0]?.name;
  return {
    ...config.injectedAnnotations,
    [annotations.revision]: pod.annotations.get(annotations.revision) ?? config.revision,
    ...(main === undefined ? {} : { [annotations.defaultContainer]: main }),
    ...(main === undefined
      ? {}
      : { [annotations.defaultLogsContainer]: pod.annotations.get(annotations.defaultLogsContainer) ?? main }),
  };
}
