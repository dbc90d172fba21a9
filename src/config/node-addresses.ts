import type { Notices } from "./notices.ts";
import { addressFamily } from "./units.ts";

/** An address of a network interface, as the system tells it. */
export interface PodAddress {
  readonly interfaceName: string;
  readonly address: string;
  readonly loopback: boolean;
  readonly linkLocal: boolean;
}

export interface AddressFacts {
  /** --ip, which was checked before, otherwise INSTANCE_IP. */
  readonly main: string | undefined;
  readonly found: readonly PodAddress[];
  /** The annotation traffic.sidecar.istio.io/excludeInterfaces. */
  readonly excludedInterfaces: string | undefined;
}

/** All addresses of the node: the main one first, then the interfaces', each once (features.md CLI-8). */
export function nodeAddresses(facts: AddressFacts, notices: Notices): readonly string[] {
  const isAddress = facts.main !== undefined && addressFamily(facts.main) !== undefined;
  if (facts.main !== undefined && !isAddress) notices.add(`INSTANCE_IP "${facts.main}" is no address; it is ignored`);
  const main = isAddress ? facts.main : undefined;
  const others = facts.found.filter((one) => !one.loopback && !one.linkLocal).map((one) => one.address);
  const candidates = others.length === 0 ? ["127.0.0.1", "::1"] : others;
  const excluded = excludedAddresses(facts, notices);
  const kept = candidates.filter((address) => !excluded.has(address));
  const all = [...new Set([...(main === undefined ? [] : [main]), ...kept])];
  // Everything excluded and no main address: an id without an address would be refused by the control plane.
  return all.length === 0 ? ["127.0.0.1"] : all;
}

function excludedAddresses(facts: AddressFacts, notices: Notices): ReadonlySet<string> {
  const names = (facts.excludedInterfaces ?? "").split(",").map((name) => name.trim());
  for (const name of names) {
    if (name === "" || facts.found.some((one) => one.interfaceName === name)) continue;
    notices.add(`annotation traffic.sidecar.istio.io/excludeInterfaces: there is no interface "${name}"`);
  }
  return new Set(facts.found.filter((one) => names.includes(one.interfaceName)).map((one) => one.address));
}

/** Which families our listeners bind: a pod with both is IPv4 unless dual stack is on (as the peer's bootstrap). */
export function addressFamilies(addresses: readonly string[], dualStack: boolean): "v4" | "v6" | "dual" {
  const families = new Set(addresses.map(addressFamily));
  if (!families.has("v6")) return "v4";
  if (!families.has("v4")) return "v6";
  return dualStack ? "dual" : "v4";
}
