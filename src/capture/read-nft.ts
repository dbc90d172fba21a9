import type { IdRange } from "./capture-options.ts";
import { type Cidr, type Family, parseAddress, parseCidr, parseHostOrCidr } from "./cidr.ts";
import type { Match, Verdict } from "./model.ts";

/** A rule of `nft -j list`, in our words. */
export interface NftRule {
  readonly matches: readonly Match[];
  readonly verdict: Verdict;
  readonly guard: Family | undefined;
  /** The expressions as JSON, for a message about a rule that is not ours. */
  readonly text: string;
}

export interface NftChain {
  readonly name: string;
  /** Of a base chain only: `nat`, `output`, -101. */
  readonly base:
    | { readonly type: string; readonly hook: string; readonly priority: number; readonly policy: string }
    | undefined;
  readonly rules: readonly NftRule[];
}

export interface NftTable {
  readonly family: string;
  readonly name: string;
  readonly chains: readonly NftChain[];
}

type Json = unknown;
const isObject = (value: Json): value is Readonly<Record<string, Json>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const at = (value: Json, key: string): Json => (isObject(value) ? value[key] : undefined);
const text = (value: Json): string => (typeof value === "string" ? value : "");

/** Reads the answer of `nft -j list ruleset` or `list table`. Throws SyntaxError when it is not JSON. */
export function readNft(answer: string): readonly NftTable[] {
  const items = at(JSON.parse(answer) as Json, "nftables");
  const tables = new Map<
    string,
    { family: string; name: string; chains: Map<string, NftChain & { rules: NftRule[] }> }
  >();
  for (const item of Array.isArray(items) ? (items as readonly Json[]) : []) {
    const table = at(item, "table");
    if (table !== undefined) {
      const [family, name] = [text(at(table, "family")), text(at(table, "name"))];
      tables.set(`${family} ${name}`, { family, name, chains: new Map() });
    }
    const chain = at(item, "chain");
    if (chain !== undefined) {
      const name = text(at(chain, "name"));
      tables.get(ownerOf(chain))?.chains.set(name, { name, base: baseOf(chain), rules: [] });
    }
    const rule = at(item, "rule");
    if (rule !== undefined)
      tables
        .get(ownerOf(rule))
        ?.chains.get(text(at(rule, "chain")))
        ?.rules.push(readRule(rule));
  }
  return [...tables.values()].map((table) => ({ ...table, chains: [...table.chains.values()] }));
}

const ownerOf = (item: Json): string => `${text(at(item, "family"))} ${text(at(item, "table"))}`;

function baseOf(chain: Json): NftChain["base"] {
  const hook = at(chain, "hook");
  if (typeof hook !== "string") return undefined;
  return {
    type: text(at(chain, "type")),
    hook,
    priority: Number(at(chain, "prio")),
    policy: text(at(chain, "policy")),
  };
}

function readRule(rule: Json): NftRule {
  const expressions = at(rule, "expr");
  const list = (Array.isArray(expressions) ? (expressions as readonly Json[]) : []).filter(
    (one) => at(one, "counter") === undefined,
  );
  const matches: Match[] = [];
  let guard: Family | undefined;
  let rest = list.length;
  for (const [index, one] of list.entries()) {
    const match = at(one, "match");
    if (match === undefined) {
      rest = index;
      break;
    }
    const family = familyOf(match);
    if (family === undefined) matches.push(...readMatch(match));
    else guard = family;
  }
  return { matches: tidy(matches), verdict: readVerdict(list.slice(rest)), guard, text: JSON.stringify(list) };
}

/** `tcp dport 80` says tcp twice when the protocol stands beside it. */
function tidy(matches: readonly Match[]): readonly Match[] {
  const seen = new Set<string>();
  return matches.filter((match) => {
    if (match.is !== "protocol") return true;
    const again = seen.has(match.protocol);
    seen.add(match.protocol);
    return !again;
  });
}

function familyOf(match: Json): Family | undefined {
  if (at(at(at(match, "left"), "meta"), "key") !== "nfproto" || at(match, "op") !== "==") return undefined;
  const right = at(match, "right");
  return right === "ipv4" ? "v4" : right === "ipv6" ? "v6" : undefined;
}

function readMatch(match: Json): readonly Match[] {
  const unknown: readonly Match[] = [{ is: "other", text: JSON.stringify(match) }];
  const [left, right, op] = [at(match, "left"), at(match, "right"), at(match, "op")];
  const not = op === "!=" ? { not: true } : {};
  const meta = at(at(left, "meta"), "key");
  const payload = at(left, "payload");
  if (op === "in" || at(at(left, "ct"), "key") === "state") return stateOf(left, right, op) ?? unknown;
  if (typeof meta === "string") return metaMatch(meta, right, not) ?? unknown;
  if (at(at(left, "ct"), "key") === "mark" && typeof right === "number")
    return [{ is: "connmark", value: right, ...not }];
  if (payload !== undefined) return payloadMatch(payload, right, not) ?? unknown;
  return isSyn(left, right, op) ? [{ is: "protocol", protocol: "tcp" }, { is: "syn" }] : unknown;
}

function stateOf(left: Json, right: Json, op: Json): readonly Match[] | undefined {
  if (at(at(left, "ct"), "key") !== "state" || op === "!=") return undefined;
  const states = Array.isArray(right) ? (right as readonly Json[]) : [right];
  return [{ is: "state", states: states.map((one) => text(one).toUpperCase()) }];
}

function metaMatch(key: string, right: Json, not: { readonly not?: boolean }): readonly Match[] | undefined {
  switch (key) {
    case "l4proto":
      return (right === "tcp" || right === "udp") && not.not !== true
        ? [{ is: "protocol", protocol: right }]
        : undefined;
    case "iifname":
    case "oifname":
      return [{ is: key === "iifname" ? "in" : "out", name: text(right).replace(/\*$/, "+"), ...not }];
    case "skuid":
    case "skgid": {
      const ids = idsOf(right);
      return ids && [{ is: key === "skuid" ? "uid" : "gid", ids, ...not }];
    }
    case "mark":
      return typeof right === "number" ? [{ is: "mark", value: right, ...not }] : undefined;
    default:
      return undefined;
  }
}

function idsOf(right: Json): IdRange | undefined {
  if (typeof right === "number") return { from: right, to: right };
  const range = at(right, "range");
  const [from, to] = Array.isArray(range) ? (range as readonly Json[]) : [];
  return typeof from === "number" && typeof to === "number" ? { from, to } : undefined;
}

function payloadMatch(payload: Json, right: Json, not: { readonly not?: boolean }): readonly Match[] | undefined {
  const [protocol, field] = [text(at(payload, "protocol")), text(at(payload, "field"))];
  if ((protocol === "ip" || protocol === "ip6") && (field === "saddr" || field === "daddr")) {
    const cidr = cidrOf(right);
    return cidr && [{ is: field === "saddr" ? "source" : "destination", cidr, ...not }];
  }
  if ((protocol === "tcp" || protocol === "udp") && (field === "sport" || field === "dport")) {
    const set = at(right, "set");
    const ports = Array.isArray(set) ? (set as readonly Json[]) : [right];
    if (!ports.every((port): port is number => typeof port === "number")) return undefined;
    return [
      { is: "protocol", protocol },
      { is: field, ports, ...not },
    ];
  }
  return undefined;
}

function cidrOf(right: Json): Cidr | undefined {
  if (typeof right === "string") return parseAddress(right) && parseHostOrCidr(right);
  const prefix = at(right, "prefix");
  return parseCidr(`${text(at(prefix, "addr"))}/${Number(at(prefix, "len"))}`);
}

/** `tcp flags syn / fin,syn,rst,ack`, in the shapes that different nft versions give it. */
function isSyn(left: Json, right: Json, op: Json): boolean {
  const parts = at(left, "&");
  const [field, mask] = Array.isArray(parts) ? (parts as readonly Json[]) : [];
  const payload = at(field, "payload");
  const flags = (Array.isArray(mask) ? (mask as readonly Json[]) : [at(mask, "|")]).flat().map(text).toSorted().join();
  return (
    op === "==" &&
    at(payload, "protocol") === "tcp" &&
    at(payload, "field") === "flags" &&
    flags === "ack,fin,rst,syn" &&
    right === "syn"
  );
}

function readVerdict(list: readonly Json[]): Verdict {
  const [first, second, third, ...more] = list;
  const unknown: Verdict = { do: "other", text: JSON.stringify(list) };
  if (first === undefined) return { do: "nothing" };
  const tproxy = at(first, "tproxy");
  if (tproxy !== undefined && more.length === 0 && isObject(third) && "accept" in third)
    return { do: "tproxy", port: Number(at(tproxy, "port")), mark: Number(at(at(second, "mangle"), "value")) };
  if (second !== undefined || !isObject(first)) return unknown;
  for (const simple of ["return", "accept", "drop"] as const) if (simple in first) return { do: simple };
  if ("jump" in first) return { do: "jump", to: text(at(first["jump"], "target")) };
  if ("redirect" in first) return { do: "redirect", port: Number(at(first["redirect"], "port")) };
  if ("log" in first) return { do: "log", prefix: text(at(first["log"], "prefix")) };
  if ("reject" in first) return rejectOf(first["reject"]) ?? unknown;
  return ("mangle" in first ? mangleOf(first["mangle"]) : undefined) ?? unknown;
}

function rejectOf(reject: Json): Verdict | undefined {
  if (at(reject, "type") === "tcp reset") return { do: "reject", by: "tcp-reset" };
  return at(reject, "expr") === "port-unreachable" ? { do: "reject", by: "port-unreachable" } : undefined;
}

function mangleOf(mangle: Json): Verdict | undefined {
  const [key, value] = [at(mangle, "key"), at(mangle, "value")];
  const ct = at(at(key, "ct"), "key");
  const onMark = at(at(key, "meta"), "key") === "mark";
  if (ct === "zone" && typeof value === "number") return { do: "zone", zone: value };
  if (ct === "mark" && at(at(value, "meta"), "key") === "mark") return { do: "save-mark" };
  if (onMark && at(at(value, "ct"), "key") === "mark") return { do: "restore-mark" };
  return onMark && typeof value === "number" ? { do: "set-mark", mark: value } : undefined;
}
