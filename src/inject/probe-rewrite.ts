import {
  isObject,
  type Json,
  type JsonObject,
  objectOr,
  objectsOf,
  own,
  textOf,
  withKey,
  without,
} from "./json-value.ts";
import type { Notes } from "./notes.ts";
import type { Container } from "./pod-shape.ts";

/**
 * The kubelet's questions must not be taken for traffic of the mesh (it has no certificate): HTTP, TCP and gRPC probes
 * and hooks are asked at the proxy's status port, which asks the application from inside. What the agent shall ask is
 * the prober table (ISTIO_KUBE_APP_PROBERS), by path.
 */
export interface Rewritten {
  readonly container: Container;
  /** Entries of the prober table; empty when nothing was rewritten. */
  readonly probers: Readonly<Record<string, JsonObject>>;
}

const probeKinds = [
  ["startupProbe", "startupz"],
  ["readinessProbe", "readyz"],
  ["livenessProbe", "livez"],
] as const;

const hookKinds = [
  ["postStart", "poststartz"],
  ["preStop", "prestopz"],
] as const;

/** `path`: of the container within the pod, for notes. */
export function rewriteProbes(
  container: Container,
  statusPort: number,
  path: readonly string[],
  notes: Notes,
): Rewritten {
  const entries: [string, JsonObject][] = [];
  let result: JsonObject = container;
  const visit = (holder: JsonObject, field: string, address: string, fieldPath: readonly string[]): JsonObject => {
    const value = own(holder, field);
    if (!isObject(value)) return holder;
    const prober = proberOf(container, value, fieldPath, notes);
    if (prober === undefined) return holder;
    entries.push([address, prober]);
    return withKey(holder, field, pointedAt(value, address, statusPort));
  };
  for (const [field, last] of probeKinds) {
    result = visit(result, field, `/app-health/${container.name}/${last}`, [...path, field]);
  }
  const lifecycle = own(result, "lifecycle");
  if (isObject(lifecycle)) {
    let hooks = lifecycle;
    for (const [field, last] of hookKinds) {
      hooks = visit(hooks, field, `/app-lifecycle/${container.name}/${last}`, [...path, "lifecycle", field]);
    }
    result = withKey(result, "lifecycle", hooks);
  }
  return { container: result as Container, probers: Object.fromEntries(entries) };
}

/** The table's entry, or undefined when the kubelet must go on asking by itself. */
function proberOf(
  container: Container,
  probe: JsonObject,
  path: readonly string[],
  notes: Notes,
): JsonObject | undefined {
  const timeout = own(probe, "timeoutSeconds");
  const more = typeof timeout === "number" ? { timeoutSeconds: timeout } : {};
  for (const way of ["httpGet", "tcpSocket", "grpc"] as const) {
    const target = own(probe, way);
    if (!isObject(target)) continue;
    const host = textOf(target["host"]);
    if (host !== undefined && host !== "") {
      notes.info(path, `it asks another host (${host}), not this pod: left as it is`);
      return undefined;
    }
    const port = portNumber(container, own(target, "port"));
    if (port === undefined) {
      notes.warn(
        path,
        `no port of container "${container.name}" is called ${JSON.stringify(target["port"] ?? null)}: left as it is, and the kubelet will fail it; name the port in the container's ports`,
      );
      return undefined;
    }
    return { [way]: withKey(target, "port", port), ...more };
  }
  return undefined;
}

/** A number as it is; a name as the container's ports explain it, as the kubelet does; digits in quotes as a number. */
export function portNumber(container: JsonObject, port: Json | undefined): number | undefined {
  if (typeof port === "number") return Number.isInteger(port) && port > 0 && port <= 65_535 ? port : undefined;
  const name = textOf(port);
  if (name === undefined) return undefined;
  const found = objectsOf(container["ports"]).find((one) => one["name"] === name)?.["containerPort"];
  if (typeof found === "number") return found;
  return /^\d{1,5}$/.test(name) && Number(name) > 0 && Number(name) <= 65_535 ? Number(name) : undefined;
}

/** Headers stay (the agent passes them on); HTTPS becomes HTTP, since the agent speaks that. */
function pointedAt(probe: JsonObject, address: string, statusPort: number): JsonObject {
  const http = objectOr(own(probe, "httpGet"));
  const plain = http["scheme"] === "HTTPS" ? withKey(http, "scheme", "HTTP") : http;
  const target = { ...plain, path: address, port: statusPort };
  return withKey(without(without(probe, "tcpSocket"), "grpc"), "httpGet", target);
}

/** Ports that the kubelet asks directly, for pods whose probes are left alone. */
export function probedPorts(container: Container): readonly number[] {
  const lifecycle = objectOr(own(container, "lifecycle"));
  const asked = [
    ...probeKinds.map(([field]) => own(container, field)),
    ...hookKinds.map(([field]) => own(lifecycle, field)),
  ];
  return asked.flatMap((probe) =>
    ["httpGet", "tcpSocket", "grpc"].flatMap((way) => {
      const target = own(objectOr(probe), way);
      const port = isObject(target) ? portNumber(container, own(target, "port")) : undefined;
      return port === undefined ? [] : [port];
    }),
  );
}

/** Whether the container has a hook that is asked over the network right after its start. */
export function hasNetworkPostStart(container: Container): boolean {
  const hook = objectOr(own(objectOr(own(container, "lifecycle")), "postStart"));
  return isObject(own(hook, "httpGet")) || isObject(own(hook, "tcpSocket"));
}
