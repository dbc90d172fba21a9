import type { IdRange } from "./capture-options.ts";
import { type Family, formatCidr } from "./cidr.ts";
import {
  type Chain,
  isHook,
  type Match,
  type Rule,
  type Table,
  traceBytes,
  traceGroup,
  type Verdict,
} from "./model.ts";

/** A table's rules of ours as iptables text, without the chain: what to load, or what was there before. */
export interface TableText {
  /** Our chains, in order, with the rules in each. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** Jumps from the kernel's chains to ours, `chain` and the rest of the rule. */
  readonly jumps: readonly Jump[];
}

export interface Jump {
  readonly chain: string;
  readonly rule: string;
  /** Its place in the kernel's chain, from 1. */
  readonly at: number;
}

export const noText: TableText = { chains: new Map(), jumps: [] };

/** Order of the hooks in the kernel; of no other importance. */
export const tableOrder: readonly Table[] = ["raw", "mangle", "nat", "filter"];

const ids = (range: IdRange): string => (range.from === range.to ? `${range.from}` : `${range.from}-${range.to}`);
const negated = (match: { readonly not?: boolean }): string => (match.not ? "! " : "");

function matchWords(match: Match): string {
  switch (match.is) {
    case "protocol":
      return `-p ${match.protocol}`;
    case "in":
    case "out":
      return `${negated(match)}-${match.is === "in" ? "i" : "o"} ${match.name}`;
    case "source":
    case "destination":
      return `${negated(match)}-${match.is === "source" ? "s" : "d"} ${formatCidr(match.cidr)}`;
    case "sport":
    case "dport":
      return match.ports.length === 1
        ? `${negated(match)}--${match.is} ${match.ports[0]}`
        : `-m multiport ${negated(match)}--${match.is}s ${match.ports.join(",")}`;
    case "uid":
    case "gid":
      return `-m owner ${negated(match)}--${match.is}-owner ${ids(match.ids)}`;
    case "mark":
    case "connmark":
      return `-m ${match.is} ${negated(match)}--mark ${match.value}`;
    case "state":
      return `-m conntrack --ctstate ${match.states.join(",")}`;
    case "syn":
      return "--syn";
    case "other":
      return match.text;
  }
}

function verdictWords(verdict: Verdict, family: Family): string {
  switch (verdict.do) {
    case "return":
    case "accept":
    case "drop":
      return `-j ${verdict.do.toUpperCase()}`;
    case "jump":
      return `-j ${verdict.to}`;
    case "redirect":
      return `-j REDIRECT --to-ports ${verdict.port}`;
    case "tproxy":
      return `-j TPROXY --tproxy-mark ${verdict.mark}/0xffffffff --on-port ${verdict.port}`;
    case "set-mark":
      return `-j MARK --set-mark ${verdict.mark}`;
    case "save-mark":
    case "restore-mark":
      return `-j CONNMARK --${verdict.do}`;
    case "zone":
      return `-j CT --zone ${verdict.zone}`;
    case "reject":
      return `-j REJECT --reject-with ${verdict.by === "tcp-reset" ? "tcp-reset" : `icmp${family === "v6" ? "6" : ""}-port-unreachable`}`;
    case "log":
      return `-j NFLOG --nflog-prefix ${verdict.prefix} --nflog-group ${traceGroup} --nflog-size ${traceBytes}`;
    case "nothing":
      return "";
    case "other":
      return verdict.text;
  }
}

/** The rule without `-A CHAIN`. Options of a protocol must follow its -p, which is why that comes first. */
export function ruleWords(rule: Pick<Rule, "matches" | "verdict">, family: Family): string {
  const order = (match: Match): number => (match.is === "protocol" ? 0 : 1);
  const matches = rule.matches.toSorted((a, b) => order(a) - order(b));
  return [...matches.map(matchWords), verdictWords(rule.verdict, family)].filter((words) => words !== "").join(" ");
}

/** One family's rules of one table. Chains in the order in which they first appear. */
export function tableText(rules: readonly Rule[], table: Table, family: Family): TableText {
  const chains = new Map<string, string[]>();
  const jumps: Jump[] = [];
  for (const rule of rules) {
    if (rule.table !== table || !rule.families.includes(family)) continue;
    const at = jumps.filter((jump) => jump.chain === rule.chain).length + 1;
    if (isHook(rule.chain)) jumps.push({ chain: rule.chain, rule: ruleWords(rule, family), at });
    else chainOf(chains, rule.chain).push(ruleWords(rule, family));
    if (rule.verdict.do === "jump") chainOf(chains, rule.verdict.to as Chain);
  }
  return { chains, jumps };
}

function chainOf(chains: Map<string, string[]>, name: string): string[] {
  const found = chains.get(name) ?? [];
  chains.set(name, found);
  return found;
}

/**
 * One table's change as iptables-restore --noflush text; one COMMIT, so that no packet sees half of it. `before` is
 * what the kernel has of ours, `after` what it shall have; undo is the same with the two swapped. A plan's jumps go to
 * the top: a foreign rule that accepts everything must not stand before them.
 */
export function tableChange(table: Table, before: TableText, after: TableText): string {
  const leaving = [...before.chains.keys()].filter((name) => !after.chains.has(name));
  return [
    `*${table}`,
    // Under --noflush a chain line makes the chain, or empties it when it is there.
    ...[...after.chains.keys(), ...leaving].map((name) => `:${name} - [0:0]`),
    ...before.jumps.map((jump) => `-D ${jump.chain} ${jump.rule}`),
    // In ascending order each finds its place: those before it stand already.
    ...after.jumps.map((jump) => `-I ${jump.chain} ${jump.at} ${jump.rule}`),
    ...[...after.chains].flatMap(([name, rules]) => rules.map((rule) => `-A ${name} ${rule}`)),
    ...leaving.map((name) => `-X ${name}`),
    "COMMIT",
    "",
  ].join("\n");
}

export const isEmptyText = (text: TableText): boolean => text.chains.size === 0 && text.jumps.length === 0;

/** What a dry run prints for one family: all tables, as if nothing of ours were loaded. */
export function restoreText(rules: readonly Rule[], family: Family): string {
  return tableOrder
    .map((table) => ({ table, text: tableText(rules, table, family) }))
    .filter(({ text }) => !isEmptyText(text))
    .map(({ table, text }) => tableChange(table, noText, text))
    .join("");
}
