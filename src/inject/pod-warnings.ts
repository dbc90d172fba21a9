import type { InjectorConfig } from "./injector-config.ts";
import { type JsonObject, objectOr, objectsOf, own } from "./json-value.ts";
import { isKnownAnnotation, withoutEffect } from "./names.ts";
import type { Notes } from "./notes.ts";
import type { Container } from "./pod-shape.ts";
import type { AnnotationWarning } from "./prometheus-merge.ts";
import { proxyPorts } from "./proxy-ports.ts";
import type { Settings } from "./settings.ts";
import { placesIn } from "./user-containers.ts";

/** What a person would want to hear before the pod runs. */
export interface WarningFacts {
  readonly config: InjectorConfig;
  readonly settings: Settings;
  readonly annotations: ReadonlyMap<string, string>;
  /** What of the annotations on metrics is left out. */
  readonly metrics: readonly AnnotationWarning[];
  readonly spec: JsonObject;
  readonly applications: readonly Container[];
  readonly ownerKind: string;
  readonly native: boolean;
  /** Names of volumes that we bring and the user has too. */
  readonly volumesKept: readonly string[];
}

export function warnAbout(facts: WarningFacts, notes: Notes): void {
  for (const name of facts.annotations.keys()) warnAboutAnnotation(name, notes);
  for (const { annotation, text } of facts.metrics) notes.warn(["metadata", "annotations", annotation], text);
  const placeOf = placesIn(facts.spec);
  for (const container of facts.applications) {
    const path = placeOf(container);
    warnAboutPorts(container, path, facts, notes);
    warnAboutUser(container, path, facts, notes);
  }
  for (const name of facts.volumesKept) {
    notes.warn(["spec", "volumes"], `the pod has a volume "${name}" of its own: it is kept, and the proxy mounts it`);
  }
  if (!facts.native && ["Job", "CronJob"].includes(facts.ownerKind) && facts.settings.role === "sidecar") {
    notes.warn(
      ["spec"],
      `a ${facts.ownerKind} with a classic sidecar ends only when the proxy is told to; use native sidecars, or start the application with \`pilotfish wait --then-quit -- command\``,
    );
  }
}

function warnAboutAnnotation(name: string, notes: Notes): void {
  const path = ["metadata", "annotations", name];
  if (Object.hasOwn(withoutEffect, name))
    notes.warn(path, `the annotation ${name} has no effect: ${withoutEffect[name] ?? ""}`);
  else if (!isKnownAnnotation(name))
    notes.warn(path, `Istio has no annotation ${name}, so nothing reads it; check its name`);
}

function warnAboutPorts(container: Container, path: readonly string[], facts: WarningFacts, notes: Notes): void {
  const taken = proxyPorts(facts.config.ports, facts.settings.statusPort);
  objectsOf(own(container, "ports")).forEach((port, index) => {
    const number = port["containerPort"];
    if (typeof number !== "number") return;
    const use = taken.get(number);
    if (use === undefined) return;
    notes.warn(
      [...path, "ports", String(index)],
      `the proxy listens on ${number} too (${use}): whoever comes second cannot start; move the application to another port`,
    );
  });
}

function warnAboutUser(container: Container, path: readonly string[], facts: WarningFacts, notes: Notes): void {
  const user =
    objectOr(own(container, "securityContext"))["runAsUser"] ?? objectOr(facts.spec["securityContext"])["runAsUser"];
  if (user !== facts.config.proxy.uid || facts.settings.role === "router") return;
  notes.warn(
    path,
    `container "${container.name}" runs as the proxy's user ${facts.config.proxy.uid}: its traffic is not captured; use another runAsUser`,
  );
}
