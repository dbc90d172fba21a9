import type { InjectorPorts } from "./injector-config.ts";

/** Ports on which the proxy listens in every pod, and for what. */
export function proxyPorts(ports: InjectorPorts, statusPort: number): ReadonlyMap<number, string> {
  return new Map([
    [15_000, "administration"],
    [ports.outbound, "outbound capture"],
    [ports.inbound, "inbound capture"],
    [15_008, "the mesh's tunnel"],
    [statusPort, "status"],
    [ports.readiness, "readiness"],
    [15_053, "DNS"],
    [ports.prometheus, "statistics"],
  ]);
}
