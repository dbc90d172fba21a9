import type { CaptureOptions } from "./capture-options.ts";
import { type Cidr, parseHostOrCidr } from "./cidr.ts";
import { type PodFacts, podAddresses } from "./facts.ts";
import type { Rule } from "./model.ts";
import type { Probe } from "./probes.ts";
import type { Plan } from "./rules.ts";
import { type Packet, type Walked, walk } from "./walk.ts";

/** Ids of "the application" in a walk; the rules only ask whether it is the proxy. */
const nobody = -1;

/**
 * The rules of the plan that these connections show: those without which one of them would have ended elsewhere. Each
 * once, in the order in which they are asked.
 */
export function provenRules(
  probes: readonly Probe[],
  plan: Plan,
  facts: PodFacts,
  options: CaptureOptions,
): readonly Rule[] {
  const shown = probes.flatMap((probe) => {
    const packet = packetOf(probe, facts, options);
    if (packet === undefined) return [];
    const { path, end } = follow(probe, packet, plan.rules);
    return path.filter(
      (rule) =>
        follow(
          probe,
          packet,
          plan.rules.filter((one) => one !== rule),
        ).end !== end,
    );
  });
  return [...new Set(shown)];
}

/** The rules that a connection's first packet meets, and where they send it. */
function follow(
  probe: Probe,
  packet: Packet,
  rules: readonly Rule[],
): { readonly path: readonly Rule[]; readonly end: string } {
  const walks = probe.dialer.is === "outside" ? fromOutside(packet, rules) : fromInside(probe, packet, rules);
  return {
    path: walks.flatMap((one) => one.matched),
    end: JSON.stringify(walks.map((one) => one.verdict)),
  };
}

const fromOutside = (packet: Packet, rules: readonly Rule[]): readonly Walked[] => [
  walk(rules, "mangle", "PREROUTING", packet),
  walk(rules, "nat", "PREROUTING", packet),
];

function fromInside(probe: Probe, packet: Packet, rules: readonly Rule[]): readonly Walked[] {
  const marked = walk(rules, "mangle", "OUTPUT", packet);
  const nat = walk(rules, "nat", "OUTPUT", packet);
  // What goes over lo arrives again, with the mark that it left with.
  const again = packet.by === "lo" ? [walk(rules, "mangle", "PREROUTING", { ...packet, mark: marked.mark })] : [];
  const refused = "refused" in probe.expect ? [walk(rules, "filter", "OUTPUT", packet)] : [];
  return [marked, nat, ...again, ...refused];
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
