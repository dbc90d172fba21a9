import type { InterfaceAddress } from "../system/network.ts";
import { type Cidr, parseAddress, parseHostOrCidr } from "./cidr.ts";

/** What the rules depend on besides the options: read once, then plain data. */
export interface PodFacts {
  readonly addresses: readonly InterfaceAddress[];
  /** The nameservers of resolv.conf, in its order, those that are addresses. */
  readonly nameservers: readonly Cidr[];
}

/** The `nameserver` lines; a zone (`fe80::1%eth0`) is cut off, since no rule can match it. */
export function nameserversOf(resolvConf: string): readonly Cidr[] {
  const found = new Map<string, Cidr>();
  for (const line of resolvConf.split("\n")) {
    const text = /^\s*nameserver\s+([^\s#;%]+)/.exec(line)?.[1];
    const cidr = text === undefined ? undefined : parseHostOrCidr(text);
    if (text !== undefined && cidr !== undefined) found.set(text, cidr);
  }
  return [...found.values()];
}

/** Names of /etc/passwd or /etc/group with their number. */
export function idsOf(file: string): ReadonlyMap<string, number> {
  const ids = new Map<string, number>();
  for (const line of file.split("\n")) {
    const [name, , id] = line.split(":");
    if (name !== undefined && name !== "" && id !== undefined && /^\d+$/.test(id)) ids.set(name, Number(id));
  }
  return ids;
}

/** Addresses that others can reach the pod by: no loopback, no link-local ones, none that we added ourselves. */
export function podAddresses(facts: PodFacts): readonly InterfaceAddress[] {
  return facts.addresses.filter((one) => !one.loopback && !one.linkLocal && parseAddress(one.address) !== undefined);
}
