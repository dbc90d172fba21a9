import { isObject, type Json, type JsonObject, objectOr, objectsOf, own, textOf } from "../../src/inject/json-value.ts";
import { quantityOf } from "../../src/inject/quantities.ts";

/** What Kubernetes refuses although the schema allows it, and what injection promises: one sentence each. */
export function faultsOf(pod: JsonObject): readonly string[] {
  const spec = objectOr(pod["spec"]);
  const [containers, inits] = [objectsOf(spec["containers"]), objectsOf(spec["initContainers"])];
  const all = [...containers, ...inits];
  const volumes = objectsOf(spec["volumes"]).map((one) => one["name"]);
  return [
    ...twice(
      all.map((one) => one["name"]),
      "container",
    ),
    ...twice(volumes, "volume"),
    ...inits.filter((one) => one["restartPolicy"] !== "Always").flatMap(runOnceFaults),
    ...all.flatMap((one) => containerFaults(one, volumes)),
    ...proberFaults(pod, all),
  ];
}

function twice(list: readonly (Json | undefined)[], what: string): readonly string[] {
  return list
    .filter((one, index) => list.indexOf(one) !== index)
    .map((one) => `${what} ${JSON.stringify(one)} is there twice`);
}

/** An init container that ends has no probes and no hooks (the API server says so). */
const runOnceFaults = (container: JsonObject): readonly string[] =>
  ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"]
    .filter((field) => container[field] !== undefined)
    .map((field) => `${show(container["name"])} is run once and has a ${field}`);

function containerFaults(container: JsonObject, volumes: readonly (Json | undefined)[]): readonly string[] {
  const name = textOf(container["name"]) ?? "";
  const ports = objectsOf(container["ports"]);
  const mounts = objectsOf(container["volumeMounts"]);
  return [
    ...twice(
      ports.map((one) => `${show(one["containerPort"])}/${show(one["protocol"] ?? "TCP")}`),
      `${name}: port`,
    ),
    ...twice(
      ports.flatMap((one) => (one["name"] === undefined ? [] : [one["name"]])),
      `${name}: port name`,
    ),
    ...twice(
      mounts.map((one) => one["mountPath"]),
      `${name}: mount path`,
    ),
    ...twice(
      objectsOf(container["env"]).map((one) => one["name"]),
      `${name}: variable`,
    ),
    ...mounts
      .filter((one) => !volumes.includes(one["name"]))
      .map((one) => `${name} mounts ${show(one["name"])}, which is no volume`),
    ...hooksOf(container)
      .filter(({ hook }) => handlers(hook) !== 1)
      .map(({ field }) => `${name}: ${field} has not one handler`),
    ...resourceFaults(name, objectOr(container["resources"])),
  ];
}

const handlers = (hook: JsonObject): number =>
  ["exec", "httpGet", "tcpSocket", "grpc", "sleep"].filter((one) => hook[one] !== undefined).length;

function hooksOf(container: JsonObject): readonly { readonly field: string; readonly hook: JsonObject }[] {
  const lifecycle = objectOr(container["lifecycle"]);
  const found = [
    ...["livenessProbe", "readinessProbe", "startupProbe"].map((field) => ({ field, hook: own(container, field) })),
    ...["preStop", "postStart"].map((field) => ({ field, hook: own(lifecycle, field) })),
  ];
  return found.flatMap(({ field, hook }) => (isObject(hook) ? [{ field, hook }] : []));
}

function resourceFaults(name: string, resources: JsonObject): readonly string[] {
  const [requests, limits] = [objectOr(resources["requests"]), objectOr(resources["limits"])];
  return Object.entries(requests).flatMap(([kind, amount]) => {
    const limit = limits[kind];
    const more = limit !== undefined && (quantityOf(show(amount)) ?? 0) > (quantityOf(show(limit)) ?? 0);
    return more ? [`${name} asks for more ${kind} than its limit`] : [];
  });
}

/** Every probe at the status port has its entry in the prober table, and every entry its probe; the port is one everywhere. */
function proberFaults(pod: JsonObject, all: readonly JsonObject[]): readonly string[] {
  const proxy = all.find((one) => one["name"] === "istio-proxy");
  if (proxy === undefined) return [];
  const env = objectsOf(proxy["env"]);
  const table = JSON.parse(
    textOf(env.find((one) => one["name"] === "ISTIO_KUBE_APP_PROBERS")?.["value"]) ?? "{}",
  ) as JsonObject;
  const asked = all.flatMap((container) =>
    hooksOf(container).flatMap(({ hook }) => {
      const http = objectOr(hook["httpGet"]);
      const path = textOf(http["path"]) ?? "";
      return path.startsWith("/app-") ? [{ path, port: http["port"] }] : [];
    }),
  );
  const paths = asked.map((one) => one.path);
  return [
    ...paths.filter((path) => table[path] === undefined).map((path) => `nobody answers ${path}`),
    ...Object.keys(table)
      .filter((path) => !paths.includes(path))
      .map((path) => `nobody asks ${path}`),
    ...(new Set([...asked.map((one) => show(one.port)), ...statusPorts(pod, all)]).size > 1
      ? ["several status ports"]
      : []),
  ];
}

/** Every place that names the status port. */
function statusPorts(pod: JsonObject, all: readonly JsonObject[]): readonly string[] {
  const annotations = objectOr(objectOr(pod["metadata"])["annotations"]);
  const merged =
    annotations["prometheus.io/path"] === "/stats/prometheus" ? [show(annotations["prometheus.io/port"])] : [];
  const words = all
    .filter((one) => ["istio-proxy", "istio-init"].includes(show(one["name"])))
    .flatMap((one) => JSON.stringify(one["lifecycle"] ?? "").match(/--debug-port=\d+/g) ?? [])
    .map((one) => one.slice("--debug-port=".length));
  const init = all.find(
    (one) => one["name"] === "istio-init" && JSON.stringify(one["args"] ?? []).includes("istio-iptables"),
  );
  const args = (init?.["args"] ?? []) as readonly string[];
  const excluded = args[args.indexOf("-d") + 1]?.split(",").at(-1);
  return [...merged, ...words, ...(init === undefined || excluded === undefined ? [] : [excluded])];
}

const show = (value: Json | undefined): string => (typeof value === "string" ? value : JSON.stringify(value ?? null));
