import type { CaptureOptions } from "./capture-options.ts";
import { type Cidr, parseHostOrCidr } from "./cidr.ts";
import { type PodFacts, podAddresses } from "./facts.ts";
import type { Rule } from "./model.ts";
import type { Probe } from "./probes.ts";
import type { Plan } from "./rules.ts";
import { type Packet, walk } from "./walk.ts";

/** Ids of "the application" in a walk; the rules only ask whether it is the proxy. */
const nobody = -1;

/** The rules of the plan that decide about these connections, each once, in the order in which they are asked. */
export function provenRules(
  probes: readonly Probe[],
  plan: Plan,
  facts: PodFacts,
  options: CaptureOptions,
): readonly Rule[] {
  return [...new Set(probes.flatMap((probe) => rulesOn(probe, plan, facts, options)))];
}

function rulesOn(probe: Probe, plan: Plan, facts: PodFacts, options: CaptureOptions): readonly Rule[] {
  const packet = packetOf(probe, facts, options);
  if (packet === undefined) return [];
  const { rules } = plan;
  if (probe.dialer.is === "outside") {
    const later: Packet = { ...packet, state: "ESTABLISHED" };
    return [
      ...walk(rules, "mangle", "PREROUTING", packet).matched,
      ...walk(rules, "mangle", "PREROUTING", later).matched,
      ...walk(rules, "nat", "PREROUTING", packet).matched,
    ];
  }
  const marked = walk(rules, "mangle", "OUTPUT", packet);
  const nat = walk(rules, "nat", "OUTPUT", packet).matched;
  // What goes over lo arrives again, with the mark it left with.
  const again = packet.by === "lo" ? walk(rules, "mangle", "PREROUTING", { ...packet, mark: marked.mark }).matched : [];
  const refused = "refused" in probe.expect ? walk(rules, "filter", "OUTPUT", packet).matched : [];
  return [...marked.matched, ...again, ...nat, ...refused];
}

function packetOf(probe: Probe, facts: PodFacts, options: CaptureOptions): Packet | undefined {
  const destination = parseHostOrCidr(probe.host);
  const source = parseHostOrCidr(probe.source ?? "") ?? destination;
  if (destination === undefined || source === undefined) return undefined;
  const { dialer } = probe;
  const listed = options.ownerGroups === "all" ? nobody : (options.ownerGroups[0]?.from ?? nobody);
  return {
    family: probe.family,
    protocol: probe.protocol,
    source,
    destination,
    sport: 40_000,
    dport: probe.port === "direct" ? 40_001 : probe.port,
    by: dialer.is !== "outside" && isLocal(destination, facts) ? "lo" : "outside",
    uid: dialer.is === "proxy" && dialer.uid !== undefined ? dialer.uid : nobody,
    gid: dialer.is === "proxy" && dialer.gid !== undefined ? dialer.gid : listed,
    mark: 0,
    connmark: 0,
    state: "NEW",
  };
}

function isLocal(host: Cidr, facts: PodFacts): boolean {
  if (host.family === "v4" && host.base >> 24n === 127n) return true;
  return [...podAddresses(facts).map((one) => one.address), "::1", "::6"].some((address) => {
    const own = parseHostOrCidr(address);
    return own?.family === host.family && own.base === host.base;
  });
}
