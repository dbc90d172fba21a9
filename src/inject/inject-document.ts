import type { Problem } from "../foundation/errors.ts";
import type { LeftAlone } from "./decision.ts";
import { injectPod } from "./inject-pod.ts";
import type { InjectorConfig, Mode } from "./injector-config.ts";
import { isObject, type Json, type JsonObject, objectOr, own, withKey } from "./json-value.ts";
import type { Note } from "./notes.ts";
import { isList, type Owner, objectAt, type PodPlace, podPlace, withObjectAt } from "./pod-kinds.ts";
import { withoutInjection } from "./status-annotation.ts";

export interface DocumentOptions {
  /** Namespace of documents that name none. */
  readonly namespace: string;
  readonly mode: Mode | undefined;
}

/** What became of one pod of a document. */
export interface Outcome {
  readonly owner: Owner;
  /** Keys from the document to the pod. */
  readonly path: readonly string[];
  readonly done:
    | { readonly kind: "injected"; readonly mode: Mode; readonly notes: readonly Note[] }
    | { readonly kind: "removed" }
    | { readonly kind: "left-alone"; readonly why: LeftAlone }
    | { readonly kind: "unusable"; readonly problems: readonly Problem[] };
}

export interface DocumentResult {
  readonly document: JsonObject;
  /** One for each pod; none for a kind that holds no pod. */
  readonly outcomes: readonly Outcome[];
}

/** A document of any kind with every pod in it injected; a document that holds none comes back as it is. */
export function injectDocument(document: JsonObject, options: DocumentOptions, config: InjectorConfig): DocumentResult {
  return eachPod(document, [], (pod, place, path, holder) => {
    const result = injectPod(
      pod,
      {
        owner: place.owner,
        namespace: place.owner.namespace ?? options.namespace,
        mode: options.mode,
        selectorLabels: selectorLabels(holder),
        path,
      },
      config,
    );
    switch (result.kind) {
      case "injected":
        return [result.pod, { kind: "injected", mode: result.mode, notes: result.notes }];
      case "left-alone":
        return [result.pod, { kind: "left-alone", why: result.why }];
      case "unusable":
        return [pod, { kind: "unusable", problems: result.problems }];
    }
  });
}

/** The document as it was before injection. */
export function removeFromDocument(document: JsonObject): DocumentResult {
  return eachPod(document, [], (pod) => {
    const bare = withoutInjection(pod);
    if (bare !== undefined) return [bare, { kind: "removed" }];
    return [pod, { kind: "left-alone", why: { reason: "no-record", text: "we did not inject it" } }];
  });
}

type OnePod = (
  pod: JsonObject,
  place: PodPlace,
  path: readonly string[],
  holder: JsonObject,
) => readonly [JsonObject, Outcome["done"]];

function eachPod(document: JsonObject, at: readonly string[], one: OnePod): DocumentResult {
  if (isList(document)) return eachItem(document, at, one);
  const place = podPlace(document);
  if (place === undefined) return { document, outcomes: [] };
  const path = [...at, ...place.path];
  const pod = objectAt(document, place.path);
  if (pod === undefined) {
    const problems = [{ name: `/${path.join("/")}`, text: `a ${place.owner.kind} needs a map here` }];
    return { document, outcomes: [{ owner: place.owner, path, done: { kind: "unusable", problems } }] };
  }
  const [changed, done] = one(pod, place, path, document);
  const result = changed === pod ? document : withObjectAt(document, place.path, changed);
  return { document: result, outcomes: [{ owner: place.owner, path, done }] };
}

function eachItem(document: JsonObject, at: readonly string[], one: OnePod): DocumentResult {
  const outcomes: Outcome[] = [];
  const items = (document["items"] as readonly Json[]).map((item, index): Json => {
    if (!isObject(item) || isList(item)) return item;
    const result = eachPod(item, [...at, "items", String(index)], one);
    outcomes.push(...result.outcomes);
    return result.document;
  });
  return { document: withKey(document, "items", items), outcomes };
}

/** Labels that a selector names must stay as they are, or the controller would not find its own pods. */
function selectorLabels(holder: JsonObject): ReadonlySet<string> {
  const selector = objectOr(own(objectOr(holder["spec"]), "selector"));
  const plain = Object.keys(own(selector, "matchLabels") === undefined ? selector : objectOr(selector["matchLabels"]));
  return new Set(plain);
}
