import type { Problem } from "../foundation/errors.ts";
import { composePod } from "./compose-pod.ts";
import { decide, type LeftAlone } from "./decision.ts";
import type { InjectorConfig, Mode } from "./injector-config.ts";
import { type JsonObject, objectOr, own, pointerOf } from "./json-value.ts";
import type { Note } from "./notes.ts";
import type { Owner } from "./pod-kinds.ts";
import { textsOf } from "./pod-marks.ts";
import { checkPodShape, type Pod } from "./pod-shape.ts";
import { mergeMetrics } from "./prometheus-merge.ts";
import { proxyPorts } from "./proxy-ports.ts";
import { readSettings } from "./settings.ts";
import { injectedByOthers, withoutInjection } from "./status-annotation.ts";

/** What injection knows beyond the pod itself. */
export interface PodFacts {
  readonly owner: Owner;
  readonly namespace: string;
  /** Asked for by hand: beats annotation and configuration. */
  readonly mode: Mode | undefined;
  /** Labels that the controller's selector needs as they are. */
  readonly selectorLabels: ReadonlySet<string>;
  /** Keys from the document to the pod, for the names of problems. */
  readonly path: readonly string[];
}

export type PodResult =
  | { readonly kind: "injected"; readonly pod: JsonObject; readonly mode: Mode; readonly notes: readonly Note[] }
  /** The pod as it was, or as it was before an earlier injection of ours. */
  | { readonly kind: "left-alone"; readonly pod: JsonObject; readonly why: LeftAlone }
  | { readonly kind: "unusable"; readonly problems: readonly Problem[] };

/**
 * One pod (an object with metadata and spec) with its proxy. What we injected earlier is taken back first, so that the
 * result never depends on how often or in which modes it was injected before. Pure; never throws.
 */
export function injectPod(given: JsonObject, facts: PodFacts, config: InjectorConfig): PodResult {
  const shape = checkPodShape(given, facts.path);
  if (shape.length > 0) return { kind: "unusable", problems: shape };
  const bare = withoutInjection(given) ?? given;
  const again = checkPodShape(bare, facts.path);
  if (again.length > 0) return { kind: "unusable", problems: again };
  const pod: Pod = { metadata: objectOr(own(bare, "metadata")), spec: objectOr(own(bare, "spec")) };
  const marks = { labels: textsOf(pod.metadata, "labels"), annotations: textsOf(pod.metadata, "annotations") };
  const why = decide(marks, pod.spec, facts.namespace, config) ?? foreign(pod);
  if (why !== undefined) return { kind: "left-alone", pod: bare, why };
  const problems: Problem[] = [];
  const nameOf = (annotation: string) => pointerOf([...facts.path, "metadata", "annotations", annotation]);
  const settings = readSettings(marks.annotations, config, facts.mode, problems, nameOf);
  const merged = settings.role !== "router" && settings.mergeMetrics;
  const { statusPort } = settings;
  // Nobody listens on 15004 in a pod, and the agent scrapes nothing there: it is the mesh's.
  const ports = new Map([[15_004, "reserved for the mesh"], ...proxyPorts(config.ports, statusPort)]);
  const scraping = { annotations: marks.annotations, statusPort, proxyPorts: ports };
  const metrics = merged ? mergeMetrics(scraping, problems, nameOf) : undefined;
  if (problems.length > 0) return { kind: "unusable", problems };
  return composePod({ bare, pod, marks, settings, metrics, facts, config });
}

function foreign(pod: Pod): LeftAlone | undefined {
  const reason = injectedByOthers(pod);
  if (reason === undefined) return undefined;
  const text =
    reason === "no-record"
      ? "it is injected already, but the annotation that says how is gone; start from the original document"
      : "another injector has put its proxy into it";
  return { reason, text };
}
