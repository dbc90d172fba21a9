import { type Cidr, contains, type Family } from "./cidr.ts";
import type { Hook, Match, Rule, Table, Verdict } from "./model.ts";

/** A packet as the rules see it. */
export interface Packet {
  readonly family: Family;
  readonly protocol: "tcp" | "udp";
  /** Host ranges (/32, /128). */
  readonly source: Cidr;
  readonly destination: Cidr;
  readonly sport: number;
  readonly dport: number;
  /** The interface that it comes in or leaves by. */
  readonly by: string;
  readonly uid: number;
  readonly gid: number;
  readonly mark: number;
  readonly connmark: number;
  readonly state: "NEW" | "ESTABLISHED" | "INVALID";
}

export interface Walked {
  /** The rules that matched, in order. */
  readonly matched: readonly Rule[];
  /** How it ended; undefined: all rules were asked and none decided. */
  readonly verdict: Verdict | undefined;
  /** The packet's mark afterwards. */
  readonly mark: number;
}

const goesOn = new Set<Verdict["do"]>(["set-mark", "save-mark", "restore-mark", "zone", "log", "nothing"]);

/**
 * Asks the rules of one table about a packet as the kernel does: in order, into chains and back. Says which rules a
 * connection proves, and lets tests ask what a rule set means without loading it.
 */
export function walk(rules: readonly Rule[], table: Table, hook: Hook, packet: Packet): Walked {
  const matched: Rule[] = [];
  let mark = packet.mark;
  const visit = (chain: string): Verdict | undefined => {
    for (const rule of rules) {
      if (rule.table !== table || rule.chain !== chain || !rule.families.includes(packet.family)) continue;
      if (!rule.matches.every((match) => matches(match, { ...packet, mark }))) continue;
      matched.push(rule);
      const { verdict } = rule;
      if (verdict.do === "return") return undefined;
      if (verdict.do === "set-mark") mark = verdict.mark;
      if (verdict.do === "restore-mark") mark = packet.connmark;
      if (verdict.do === "jump") {
        const inner = visit(verdict.to);
        if (inner !== undefined) return inner;
      } else if (!goesOn.has(verdict.do)) return verdict;
    }
    return undefined;
  };
  const verdict = visit(hook);
  return { matched, verdict, mark };
}

function matches(match: Match, packet: Packet): boolean {
  const fits = holds(match, packet);
  return "not" in match && match.not === true ? !fits : fits;
}

function holds(match: Match, packet: Packet): boolean {
  switch (match.is) {
    case "protocol":
      return match.protocol === packet.protocol;
    case "in":
    case "out":
      return match.name.endsWith("+") ? packet.by.startsWith(match.name.slice(0, -1)) : packet.by === match.name;
    case "source":
    case "destination":
      return contains(match.cidr, packet[match.is]);
    case "sport":
    case "dport":
      return match.ports.includes(packet[match.is]);
    case "uid":
    case "gid":
      return match.ids.from <= packet[match.is] && packet[match.is] <= match.ids.to;
    case "mark":
    case "connmark":
      return packet[match.is] === match.value;
    case "state":
      return match.states.includes(packet.state);
    case "syn":
      return packet.protocol === "tcp" && packet.state === "NEW";
    case "other":
      return false;
  }
}
