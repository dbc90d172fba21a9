import type { CaptureOptions } from "./capture-options.ts";
import type { Family } from "./cidr.ts";
import type { PodFacts } from "./facts.ts";
import { capturedFamilies, type Ipv6Policy, ipv6Policy } from "./ipv6-policy.ts";
import { isHook, type Rule, type Table } from "./model.ts";
import { type Emit, type Ground, jump, tableOf } from "./rule-builder.ts";
import { dnsRules, dnsZoneRules } from "./rules-dns.ts";
import { capturesInbound, inboundRules, tproxyRules } from "./rules-inbound.ts";
import { outboundRules } from "./rules-outbound.ts";
import { rejectRules } from "./rules-reject.ts";

/** TPROXY's policy route: packets with the mark are delivered locally whatever their destination is. */
export interface MarkRoute {
  readonly mark: number;
  readonly table: number;
  readonly families: readonly Family[];
}

/** Everything that the kernel shall have of ours; an empty plan is "nothing of ours". */
export interface Plan {
  readonly rules: readonly Rule[];
  readonly route: MarkRoute | undefined;
  /** ::6 on lo, from where Envoy's inbound side talks to the application over v6. */
  readonly inboundSourceV6: boolean;
  readonly ipv6: Ipv6Policy;
  /** What the options asked for and the facts do not allow, a sentence each. */
  readonly notices: readonly string[];
}

const nothing: Ipv6Policy = { does: "bypass", because: "nothing is captured" };
export const emptyPlan: Plan = { rules: [], route: undefined, inboundSourceV6: false, ipv6: nothing, notices: [] };

/** Options and facts in, rules out: pure. The order of rules in a chain is the order in which the kernel asks them. */
export function planCapture(options: CaptureOptions, facts: PodFacts): Plan {
  if (options.mode === "NONE") return { ...emptyPlan, notices: ["interception mode NONE: nothing is captured"] };
  const ipv6 = ipv6Policy(options, facts);
  const ground: Ground = { options, facts, families: capturedFamilies(ipv6) };
  const tproxy = options.mode === "TPROXY" && capturesInbound(ground);
  const rules = [
    ...rulesOf("raw", ground, dnsZoneRules),
    ...rulesOf("mangle", ground, (_, emit) => {
      if (options.dropInvalid) dropInvalid(emit);
      if (tproxy) tproxyRules(ground, emit);
    }),
    ...rulesOf("nat", ground, (_, emit) => {
      inboundRules(ground, emit);
      outboundRules(ground, emit);
      dnsRules(ground, emit);
    }),
    ...(ipv6.does === "reject" ? rulesOf("filter", { ...ground, families: ["v6"] }, rejectRules) : []),
  ];
  return {
    rules: options.trace ? rules.flatMap(traced) : rules,
    route: tproxy ? { mark: options.tproxyMark, table: options.tproxyTable, families: ground.families } : undefined,
    inboundSourceV6: ground.families.includes("v6"),
    ipv6,
    notices: dnsNotices(options, facts),
  };
}

function rulesOf(table: Table, ground: Ground, fill: (ground: Ground, emit: Emit) => void): readonly Rule[] {
  const { rules, emit } = tableOf(table, ground);
  fill(ground, emit);
  return reachable(rules);
}

/** Rules in chains that no jump leads to do nothing: leave them out, so that all that is shown matters. */
function reachable(rules: readonly Rule[]): readonly Rule[] {
  const reached = new Set<string>(rules.map((rule) => rule.chain).filter((chain) => isHook(chain)));
  for (let before = -1; before !== reached.size; ) {
    before = reached.size;
    for (const rule of rules) if (reached.has(rule.chain) && rule.verdict.do === "jump") reached.add(rule.verdict.to);
  }
  return rules.filter((rule) => reached.has(rule.chain));
}

function dropInvalid(emit: Emit): void {
  emit("PREROUTING", [], jump("ISTIO_DROP"), "packets that conntrack cannot place");
  emit(
    "ISTIO_DROP",
    [{ is: "state", states: ["INVALID"] }],
    { do: "drop" },
    "would reach the application untranslated",
  );
}

function dnsNotices(options: CaptureOptions, facts: PodFacts): readonly string[] {
  if (options.dns !== "nameservers" || facts.nameservers.length > 0) return [];
  return ["DNS is not captured: resolv.conf names no server; use --capture-all-dns"];
}

/** A log rule with the same matches goes before each rule; jumps out of the kernel's chains would log every packet. */
function traced(rule: Rule): readonly Rule[] {
  if (isHook(rule.chain)) return [rule];
  const prefix = `${rule.table}/${rule.chain}/${rule.verdict.do}`.slice(0, 60);
  return [{ ...rule, verdict: { do: "log", prefix }, reason: "trace" }, rule];
}
