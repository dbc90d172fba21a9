import type { CaptureOptions, IdRange } from "./capture-options.ts";
import { type Cidr, type Family, parseCidr } from "./cidr.ts";
import type { PodFacts } from "./facts.ts";
import { type Chain, isHook, type Match, type Rule, type Table, type Verdict } from "./model.ts";

/** What the rule files share: the options, the facts, and the families that their rules are for. */
export interface Ground {
  readonly options: CaptureOptions;
  readonly facts: PodFacts;
  readonly families: readonly Family[];
}

export type Emit = (chain: Chain, matches: readonly Match[], verdict: Verdict, reason: string) => void;

/** Collects the rules of one table, and works out which family each is for. */
export function tableOf(table: Table, ground: Ground): { readonly rules: readonly Rule[]; readonly emit: Emit } {
  const rules: Rule[] = [];
  const emit: Emit = (chain, given, verdict, reason) => {
    const family = familyOf(given);
    if (family !== undefined && !ground.families.includes(family)) return;
    const matches = given.filter(says);
    const families = family === undefined ? ground.families : [family];
    const guard = guardOf(chain, matches, families, ground.families);
    rules.push({ table, chain, families, matches, verdict, reason, ...(guard === undefined ? {} : { guard }) });
  };
  return { rules, emit };
}

/** A range of every address says nothing but the family; the tools drop it, so we do too. */
const says = (match: Match): boolean =>
  !((match.is === "source" || match.is === "destination") && match.cidr.length === 0);

function familyOf(matches: readonly Match[]): Family | undefined {
  for (const match of matches) if (match.is === "source" || match.is === "destination") return match.cidr.family;
  return undefined;
}

/** An address says its family; a chain that only one family's jumps lead to needs no guard on its rules. */
function guardOf(
  chain: Chain,
  matches: readonly Match[],
  families: readonly Family[],
  chainFamilies: readonly Family[],
): Family | undefined {
  const [only, other] = families;
  if (only === undefined || other !== undefined || familyOf(matches) !== undefined) return undefined;
  return isHook(chain) || chainFamilies.length > 1 ? only : undefined;
}

export const tcp: Match = { is: "protocol", protocol: "tcp" };
export const udp: Match = { is: "protocol", protocol: "udp" };
export const syn: Match = { is: "syn" };
export const toPort = (...ports: readonly number[]): Match => ({ is: "dport", ports });
export const fromPort = (port: number): Match => ({ is: "sport", ports: [port] });
export const to = (cidr: Cidr): Match => ({ is: "destination", cidr });
export const except = <M extends Match>(match: M): M => ({ ...match, not: true });
export const inBy = (name: string): Match => ({ is: "in", name });
export const outBy = (name: string): Match => ({ is: "out", name });
export const marked = (value: number): Match => ({ is: "mark", value });
export const jump = (chain: Chain): Verdict => ({ do: "jump", to: chain });
export const back: Verdict = { do: "return" };

const range = (id: number): IdRange => ({ from: id, to: id });
export const group = (ids: IdRange): Match => ({ is: "gid", ids });

/** One match for each uid and each gid that is the proxy's. */
export const proxyOwners = (options: CaptureOptions): readonly Match[] => [
  ...options.proxyUids.map((id): Match => ({ is: "uid", ids: range(id) })),
  ...options.proxyGids.map((id): Match => ({ is: "gid", ids: range(id) })),
];

function fixed(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(`internal error: "${text}" is not a range`);
  return cidr;
}

/** Where Envoy's inbound side talks to the application from: what comes from there was captured already. */
export const inboundSource: Readonly<Record<Family, Cidr>> = { v4: fixed("127.0.0.6/32"), v6: fixed("::6/128") };

/** The address of localhost, by family. */
export const localhost = (options: CaptureOptions): Readonly<Record<Family, Cidr>> => ({
  v4: options.loopbackCidr,
  v6: fixed("::1/128"),
});

/** All of 127.0.0.0/8 and ::1: an include that touches it asks for capture on lo. */
export const loopbackNets: Readonly<Record<Family, Cidr>> = { v4: fixed("127.0.0.0/8"), v6: fixed("::1/128") };
