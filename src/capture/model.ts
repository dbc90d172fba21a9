import type { IdRange } from "./capture-options.ts";
import { type Cidr, type Family, formatCidr } from "./cidr.ts";

/**
 * The rules as data, whichever tool loads them. A printer turns a rule into text, a reader turns what the kernel has
 * back into a rule; `canonical` is the form in which the two are compared.
 */
export type Table = "raw" | "mangle" | "nat" | "filter";
export type Hook = "PREROUTING" | "INPUT" | "FORWARD" | "OUTPUT";

/**
 * Our chains, by the field's names (features.md CAP-2). Every rule of ours is in one of them, and the kernel's own
 * chains only get jumps to them: so all that is ours can be found and removed whatever the options were.
 */
export const ourChains = [
  "ISTIO_INBOUND",
  "ISTIO_OUTPUT",
  "ISTIO_REDIRECT",
  "ISTIO_IN_REDIRECT",
  "ISTIO_OUTPUT_DNS",
  "ISTIO_DIVERT",
  "ISTIO_TPROXY",
  "ISTIO_DROP",
  "ISTIO_FORWARD",
  "ISTIO_REJECT",
] as const;
export type OurChain = (typeof ourChains)[number];
export type Chain = Hook | OurChain;

export const hooks = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT"] as const satisfies readonly Hook[];
export const isHook = (chain: string): chain is Hook => (hooks as readonly string[]).includes(chain);
export const isOurChain = (chain: string): chain is OurChain => (ourChains as readonly string[]).includes(chain);

export type Match =
  | { readonly is: "protocol"; readonly protocol: "tcp" | "udp" }
  | { readonly is: "in" | "out"; readonly name: string; readonly not?: boolean }
  | { readonly is: "source" | "destination"; readonly cidr: Cidr; readonly not?: boolean }
  | { readonly is: "sport" | "dport"; readonly ports: readonly number[]; readonly not?: boolean }
  | { readonly is: "uid" | "gid"; readonly ids: IdRange; readonly not?: boolean }
  | { readonly is: "mark" | "connmark"; readonly value: number; readonly not?: boolean }
  | { readonly is: "state"; readonly states: readonly string[] }
  /** The first packet of a TCP connection. */
  | { readonly is: "syn" }
  /** Something that we never write: it makes a rule differ from any of ours. */
  | { readonly is: "other"; readonly text: string };

export type Verdict =
  | { readonly do: "return" | "accept" | "drop" | "save-mark" | "restore-mark" | "nothing" }
  | { readonly do: "jump"; readonly to: string }
  | { readonly do: "redirect"; readonly port: number }
  | { readonly do: "tproxy"; readonly port: number; readonly mark: number }
  | { readonly do: "set-mark"; readonly mark: number }
  | { readonly do: "zone"; readonly zone: number }
  | { readonly do: "reject"; readonly by: "tcp-reset" | "port-unreachable" }
  | { readonly do: "log"; readonly prefix: string }
  | { readonly do: "other"; readonly text: string };

export interface Rule {
  readonly table: Table;
  readonly chain: Chain;
  readonly families: readonly Family[];
  readonly matches: readonly Match[];
  readonly verdict: Verdict;
  /** Why it is there, one line of at most 120 characters without double quotes: it becomes the nft rule's comment. */
  readonly reason: string;
  /** In a table for both families: the family to which this rule must be held, where its matches do not say it. */
  readonly guard?: Family;
}

/** The group and snap length of the trace's log rules (the peer's: `nflog` group 1337). */
export const traceGroup = 1337;
export const traceBytes = 20;

const not = (match: { readonly not?: boolean }): string => (match.not ? "!" : "");

function matchText(match: Match): string {
  switch (match.is) {
    case "protocol":
      return `protocol=${match.protocol}`;
    case "in":
    case "out":
      return `${match.is}${not(match)}=${match.name}`;
    case "source":
    case "destination":
      return `${match.is}${not(match)}=${formatCidr(match.cidr)}`;
    case "sport":
    case "dport":
      return `${match.is}${not(match)}=${match.ports.toSorted((a, b) => a - b).join(",")}`;
    case "uid":
    case "gid":
      return `${match.is}${not(match)}=${match.ids.from}-${match.ids.to}`;
    case "mark":
    case "connmark":
      return `${match.is}${not(match)}=${match.value}`;
    case "state":
      return `state=${match.states.toSorted().join(",")}`;
    case "syn":
      return "syn";
    case "other":
      return `other(${match.text})`;
  }
}

function verdictText(verdict: Verdict): string {
  const { do: name, ...rest } = verdict;
  return [name, ...Object.values(rest)].join(" ");
}

/** Two rules with the same text do the same. Order of matches does not count, order of rules does. */
export function canonical(rule: Pick<Rule, "matches" | "verdict"> & { readonly guard?: Family | undefined }): string {
  const parts = rule.matches.map(matchText).toSorted();
  return [...(rule.guard === undefined ? [] : [rule.guard]), ...parts, `-> ${verdictText(rule.verdict)}`].join(" ");
}
