import { type InjectorConfig, selects } from "./injector-config.ts";
import { type JsonObject, objectOr, textOf } from "./json-value.ts";
import { annotations, labels } from "./names.ts";

/** Why a pod is left alone; `reason` is a short fixed word for metrics. */
export interface LeftAlone {
  readonly reason:
    | "host-network"
    | "windows"
    | "ignored-namespace"
    | "label"
    | "annotation"
    | "never-inject-selector"
    | "policy"
    | "other-injector"
    | "no-record"
    | "kind";
  readonly text: string;
}

/**
 * Whether this pod gets a proxy; undefined is yes. In this order, the first that says something wins
 * (capture-and-injection.md 5.2): what cannot be, our label, Istio's label, Istio's annotation, selectors, policy.
 */
export function decide(
  pod: PodMarks,
  spec: JsonObject,
  namespace: string,
  config: InjectorConfig,
): LeftAlone | undefined {
  const cannot = impossible(spec, namespace, config);
  if (cannot !== undefined) return cannot;
  const said = wished(pod);
  if (said === "asked") return undefined;
  return said ?? selected(pod.labels, config);
}

/** What steers the decision on the pod itself. */
export interface PodMarks {
  readonly labels: ReadonlyMap<string, string>;
  readonly annotations: ReadonlyMap<string, string>;
}

function impossible(spec: JsonObject, namespace: string, config: InjectorConfig): LeftAlone | undefined {
  if (spec["hostNetwork"] === true) {
    return { reason: "host-network", text: "it uses the node's network: capture rules would be the node's" };
  }
  if (textOf(objectOr(spec["os"])["name"]) === "windows") return { reason: "windows", text: "it is a Windows pod" };
  if (config.ignoredNamespaces.includes(namespace)) {
    return { reason: "ignored-namespace", text: `namespace "${namespace}" is never injected` };
  }
  return undefined;
}

/** undefined: nobody said anything. */
type Wish = LeftAlone | "asked" | undefined;

function wish(value: string | undefined, what: string, reason: "label" | "annotation"): Wish {
  if (value === undefined || value === "") return undefined;
  if (["true", "enabled", "y", "yes", "on"].includes(value.toLowerCase())) return "asked";
  return { reason, text: `its ${what} says ${JSON.stringify(value)}` };
}

const wished = (pod: PodMarks): Wish =>
  wish(pod.labels.get(labels.ourInject), `label ${labels.ourInject}`, "label") ??
  wish(pod.labels.get(labels.inject), `label ${labels.inject}`, "label") ??
  wish(pod.annotations.get(annotations.inject), `annotation ${annotations.inject}`, "annotation");

function selected(podLabels: ReadonlyMap<string, string>, config: InjectorConfig): LeftAlone | undefined {
  if (config.neverInjectSelector.some((one) => selects(one, podLabels))) {
    return { reason: "never-inject-selector", text: "a neverInjectSelector of the configuration fits its labels" };
  }
  if (config.alwaysInjectSelector.some((one) => selects(one, podLabels))) return undefined;
  return config.policy === "enabled" ? undefined : { reason: "policy", text: "nobody asked for it (policy: disabled)" };
}
