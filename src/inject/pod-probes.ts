import type { JsonObject } from "./json-value.ts";
import type { Notes } from "./notes.ts";
import type { Container } from "./pod-shape.ts";
import { probedPorts, rewriteProbes } from "./probe-rewrite.ts";
import type { Settings } from "./settings.ts";
import { isNativeSidecar, placesIn, type UserContainers } from "./user-containers.ts";

/** The user's containers with their probes pointed at the proxy. */
export interface Probed {
  readonly containers: readonly Container[];
  readonly initContainers: readonly Container[];
  readonly probers: Readonly<Record<string, JsonObject>>;
  /** Ports that the kubelet goes on asking directly. */
  readonly uncaptured: readonly number[];
}

/**
 * In classic mode the user's native sidecars start before the proxy: a start-up probe that asks the agent could never
 * succeed and the pod would hang, so their probes stay and their ports are not captured.
 */
export function rewriteAll(
  users: UserContainers,
  spec: JsonObject,
  native: boolean,
  settings: Settings,
  notes: Notes,
): Probed {
  if (!settings.rewriteProbes || settings.role === "router") return { ...users, probers: {}, uncaptured: [] };
  const placeOf = placesIn(spec);
  const probers: [string, JsonObject][] = [];
  const rewrite = (container: Container): Container => {
    const path = placeOf(container);
    const result = rewriteProbes(container, settings.statusPort, path, notes);
    probers.push(...Object.entries(result.probers));
    return result.container;
  };
  const uncaptured: number[] = [];
  const initContainers = users.initContainers.map((container) => {
    if (!isNativeSidecar(container)) return container;
    if (native) return rewrite(container);
    const ports = [...new Set(probedPorts(container))];
    uncaptured.push(...ports);
    if (ports.length > 0)
      notes.warn(
        placeOf(container),
        `"${container.name}" starts before the classic proxy: its probes stay as they are, and port ${ports.join(", ")} is not captured`,
      );
    return container;
  });
  const containers = users.containers.map(rewrite);
  return { containers, initContainers, probers: Object.fromEntries(probers), uncaptured };
}
