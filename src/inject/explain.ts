import type { Operation } from "./json-patch.ts";
import { isArray, isObject, type Json, objectOr, stepsOf, textOf } from "./json-value.ts";

/** One thing that injection changed, and why. */
export interface Reason {
  /** `initContainers/istio-init`, `metadata/labels/…`: the path within the pod, names for list elements. */
  readonly what: string;
  readonly why: string;
}

/** Every addition and change with its reason, in the order of the patch. `after`: the pod's document as injected. */
export function explain(operations: readonly Operation[], after: Json): readonly Reason[] {
  return operations.flatMap(parts).map(({ steps, verb, value }) => {
    const named = withNames(steps, after, value);
    return { what: `${verb} ${named.join("/")}`, why: reasonFor(named, value) };
  });
}

interface Part {
  readonly steps: readonly string[];
  readonly verb: "adds" | "changes" | "removes";
  readonly value: Json;
}

const verbs = { add: "adds", replace: "changes", remove: "removes" } as const;

/** A whole list or map that was added is explained element by element. */
function parts(operation: Operation): readonly Part[] {
  const steps = stepsOf(operation.path);
  const verb = verbs[operation.op];
  const value = operation.op === "remove" ? null : operation.value;
  const last = steps.at(-1) ?? "";
  if (operation.op === "add" && isArray(value) && ["initContainers", "containers", "volumes"].includes(last)) {
    return value.map((one, index) => ({ steps: [...steps, String(index)], verb, value: one }));
  }
  if (operation.op === "add" && isObject(value) && ["metadata", "labels", "annotations"].includes(last)) {
    return Object.entries(value).flatMap(([key, one]) =>
      parts({ op: "add", path: `${operation.path}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`, value: one }),
    );
  }
  return [{ steps, verb, value }];
}

/** Indices become names where the element has one; the steps down to the pod are left out. */
function withNames(steps: readonly string[], after: Json, value: Json): readonly string[] {
  let node: Json | undefined = after;
  const named = steps.map((step, index) => {
    const list = isArray(node);
    node = list ? (node as readonly Json[])[Number(step)] : objectOr(node)[step];
    const element = index === steps.length - 1 && value !== null ? value : node;
    return list ? (textOf(objectOr(element)["name"]) ?? step) : step;
  });
  const pod = named.findLastIndex((step, index) => step === "template" && named[index - 1] === "spec");
  return named.slice(pod + 1);
}

const ofContainers: Readonly<Record<string, string>> = {
  "istio-init":
    "lays the capture rules before anything of the application runs, and ends: what the pod sends goes to Envoy at 15001, what arrives at 15006",
  "istio-validation": "checks that the CNI plugin laid the capture rules, and ends",
  "istio-proxy": "the proxy: starts Envoy, keeps it alive, answers the kubelet, fetches the workload's certificate",
};

const ofVolumes: Readonly<Record<string, string>> = {
  "workload-socket": "the socket where Envoy asks for its certificate; SPIRE can put its own there",
  "credential-socket": "the socket of a provider of gateway credentials",
  "workload-certs": "certificates that the platform mounts, when it does",
  "istiod-ca-cert": "the root certificate by which the control plane is known",
  "istio-ca-crl": "certificates that were taken back, when there is such a list",
  "istio-data": "a place to write: the root file system is read-only",
  "istio-envoy": "Envoy's configuration and sockets, in memory",
  "istio-token": "the token that the control plane knows this workload by",
  "istio-podinfo": "the pod's labels and annotations, for the control plane",
};

const ofMarks: Readonly<Record<string, string>> = {
  "security.istio.io/tlsMode": "tells clients in the mesh that this pod speaks mutual TLS",
  "service.istio.io/canonical-name": "the workload's name in telemetry",
  "service.istio.io/canonical-revision": "the workload's version in telemetry",
  "pilotfish.dev/injected": "says who injected it, so that no other injector takes it as well",
  "sidecar.istio.io/inject": "keeps Istio's injector from adding a second proxy",
  "sidecar.istio.io/status": "what was added and how it was before: for injecting again and for --remove",
  "istio.io/rev": "the control plane's revision",
  "kubectl.kubernetes.io/default-container": "kubectl exec still means the application",
  "kubectl.kubernetes.io/default-logs-container": "kubectl logs still means the application",
  "prometheus.io/port": "Prometheus scrapes the merged page of proxy and application",
  "prometheus.io/path": "Prometheus scrapes the merged page of proxy and application",
  "prometheus.io/scrape": "Prometheus scrapes the merged page of proxy and application",
};

const of = (table: Readonly<Record<string, string>>, name: string): string | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined;

function reasonFor(steps: readonly string[], value: Json): string {
  const [top = "", field = "", name = ""] = steps;
  if (top === "metadata") return of(ofMarks, name) ?? "set by the injector's configuration";
  if (steps.some((step) => /^(liveness|readiness|startup)Probe$/.test(step))) {
    return "the kubelet has no certificate of the mesh: it asks the proxy's status port, which asks the application from inside";
  }
  if (steps.includes("lifecycle") && name !== "istio-proxy") {
    return "the kubelet calls hooks from outside the mesh: the proxy passes them on";
  }
  if (field === "volumes") return of(ofVolumes, name) ?? "asked for by an annotation or an overlay";
  if (field === "imagePullSecrets") return "to pull the proxy's image";
  if (field === "initContainers" || field === "containers") return containerReason(name, value);
  return "set by an overlay of the configuration";
}

function containerReason(name: string, value: Json): string {
  const reason = of(ofContainers, name);
  if (reason === undefined) return "set by an overlay of the configuration, or moved so that the order fits";
  if (objectOr(value)["restartPolicy"] !== "Always") return reason;
  return `${reason}; a native sidecar: ready before the application starts, there until it has ended, no hindrance for a Job`;
}
