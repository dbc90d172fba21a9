import type { IdRange } from "./capture-options.ts";
import { type Family, formatAddress, formatCidr } from "./cidr.ts";
import { type Hook, isHook, type Match, type Rule, type Table, traceBytes, traceGroup, type Verdict } from "./model.ts";

/** The one table of ours, for both families. Its being there is also the mark by which we find it again. */
export const nftTable = "pilotfish";

/** Tables that Istio's own native mode makes: replaced by ours, never beside it. */
export const peerNftTables = ["istio-proxy-nat", "istio-proxy-mangle", "istio-proxy-raw"] as const;

interface BaseChain {
  readonly type: "filter" | "nat" | "route";
  readonly priority: number;
}

/**
 * Priorities of the kernel's own tables. nat stands one before iptables' (-100): rules of others there cannot take
 * a connection first. mangle output is of type route, since a changed mark must change the route.
 */
export function baseChain(table: Table, hook: Hook): BaseChain {
  switch (table) {
    case "raw":
      return { type: "filter", priority: -300 };
    case "mangle":
      return { type: hook === "OUTPUT" ? "route" : "filter", priority: -150 };
    case "nat":
      return { type: "nat", priority: -101 };
    case "filter":
      return { type: "filter", priority: 0 };
  }
}

/** `nat ISTIO_OUTPUT` -> `nat-istio-output`: one nft table holds the chains of all of iptables' tables. */
export const nftChain = (table: Table, chain: string): string => `${table}-${chain.toLowerCase().replaceAll("_", "-")}`;

const ids = (range: IdRange): string => (range.from === range.to ? `${range.from}` : `${range.from}-${range.to}`);
const ne = (match: { readonly not?: boolean }): string => (match.not ? "!= " : "");
const address = (match: Extract<Match, { is: "source" | "destination" }>): string => {
  const { family, base, length } = match.cidr;
  const single = length === (family === "v4" ? 32 : 128);
  return single ? formatAddress(family, base) : formatCidr(match.cidr);
};

/** `tcp dport 80` holds the protocol: a rule with a port or a flag does not repeat it. */
function matchWords(match: Match, protocol: string): string {
  switch (match.is) {
    case "protocol":
      return `meta l4proto ${match.protocol}`;
    case "in":
    case "out":
      return `${match.is === "in" ? "iifname" : "oifname"} ${ne(match)}"${match.name.replace(/\+$/, "*")}"`;
    case "source":
    case "destination":
      return `${match.cidr.family === "v4" ? "ip" : "ip6"} ${match.is === "source" ? "saddr" : "daddr"} ${ne(match)}${address(match)}`;
    case "sport":
    case "dport":
      return `${protocol} ${match.is} ${ne(match)}${match.ports.length === 1 ? match.ports[0] : `{ ${match.ports.join(", ")} }`}`;
    case "uid":
    case "gid":
      return `meta sk${match.is} ${ne(match)}${ids(match.ids)}`;
    case "mark":
      return `meta mark ${ne(match)}${match.value}`;
    case "connmark":
      return `ct mark ${ne(match)}${match.value}`;
    case "state":
      return `ct state ${match.states.join(",").toLowerCase()}`;
    case "syn":
      return "tcp flags & (fin|syn|rst|ack) == syn";
    case "other":
      return match.text;
  }
}

function verdictWords(verdict: Verdict, table: Table, family: Family | undefined): string {
  switch (verdict.do) {
    case "return":
    case "accept":
    case "drop":
      return verdict.do;
    case "jump":
      return `jump ${nftChain(table, verdict.to)}`;
    case "redirect":
      return `redirect to :${verdict.port}`;
    case "tproxy":
      return `tproxy ${family === "v6" ? "ip6" : "ip"} to :${verdict.port} meta mark set ${verdict.mark} accept`;
    case "set-mark":
      return `meta mark set ${verdict.mark}`;
    case "save-mark":
      return "ct mark set meta mark";
    case "restore-mark":
      return "meta mark set ct mark";
    case "zone":
      return `ct zone set ${verdict.zone}`;
    case "reject":
      return verdict.by === "tcp-reset" ? "reject with tcp reset" : "reject with icmpv6 type port-unreachable";
    case "log":
      return `log prefix "${verdict.prefix}" group ${traceGroup} snaplen ${traceBytes}`;
    case "nothing":
      return "";
    case "other":
      return verdict.text;
  }
}

/** A rule as nft text, with a counter (who looks for a reason looks at them first) and its reason as comment. */
export function nftRule(rule: Rule): string {
  const protocol = protocolOf(rule);
  const said = rule.matches.some((match) => match.is === "sport" || match.is === "dport" || match.is === "syn");
  const matches = rule.matches.filter((match) => !(match.is === "protocol" && said));
  const family = rule.families.length === 1 ? rule.families[0] : undefined;
  return [
    // nft leaves a family match away before a reject when it lists the rule, and its chain is held to v6 already.
    ...(rule.guard === undefined || rule.verdict.do === "reject"
      ? []
      : [`meta nfproto ${rule.guard === "v4" ? "ipv4" : "ipv6"}`]),
    ...matches.map((match) => matchWords(match, protocol)),
    "counter",
    verdictWords(rule.verdict, rule.table, family),
    `comment "${rule.reason}"`,
  ].join(" ");
}

const protocolOf = (rule: Rule): string => {
  for (const match of rule.matches) if (match.is === "protocol") return match.protocol;
  return "tcp";
};

/** Chains of the plan in order, with their rules; a chain that is only jumped to is there, empty. */
export function nftChains(rules: readonly Rule[]): ReadonlyMap<string, readonly Rule[]> {
  const chains = new Map<string, Rule[]>();
  const chainOf = (name: string): Rule[] => {
    const found = chains.get(name) ?? [];
    chains.set(name, found);
    return found;
  };
  for (const rule of rules) {
    chainOf(nftChain(rule.table, rule.chain)).push(rule);
    if (rule.verdict.do === "jump") chainOf(nftChain(rule.table, rule.verdict.to));
  }
  return chains;
}

function chainHead(rules: readonly Rule[]): readonly string[] {
  const [first] = rules;
  if (first === undefined || !isHook(first.chain)) return [];
  const { type, priority } = baseChain(first.table, first.chain);
  return [`    type ${type} hook ${first.chain.toLowerCase()} priority ${priority}; policy accept;`];
}

/** The table's block, or nothing for an empty plan. */
function tableBlock(rules: readonly Rule[]): readonly string[] {
  if (rules.length === 0) return [];
  const chains = [...nftChains(rules)].flatMap(([name, list]) => [
    `  chain ${name} {`,
    ...chainHead(list),
    ...list.map((rule) => `    ${nftRule(rule)}`),
    "  }",
  ]);
  return [`table inet ${nftTable} {`, ...chains, "}"];
}

/**
 * The whole change as one script, which nft hands to the kernel as one transaction: both families, all hooks, and the
 * removal of `old` tables, at the same instant. `add` before `delete` because nft < 1.0.7 has no `destroy`.
 */
export function nftScript(rules: readonly Rule[], old: readonly string[] = []): string {
  const drop = [nftTable, ...old].flatMap((name) => [`add table inet ${name}`, `delete table inet ${name}`]);
  return [...drop, ...tableBlock(rules), ""].join("\n");
}
