import { parseHostOrCidr } from "./cidr.ts";
import { isHook, isOurChain, type Match, type Table, type Verdict } from "./model.ts";
import { readIds } from "./read-ids.ts";
import { type Jump, type TableText, tableOrder } from "./restore-text.ts";

/** A rule as iptables-save printed it. */
export interface SavedRule {
  readonly chain: string;
  /** Text after `-A CHAIN `. */
  readonly text: string;
  readonly matches: readonly Match[];
  readonly verdict: Verdict;
}

/** One table of iptables-save: ours and all that stands beside it. */
export interface SavedTable {
  readonly chains: readonly string[];
  readonly rules: readonly SavedRule[];
}

export type SavedTables = ReadonlyMap<Table, SavedTable>;

/** Reads iptables-save text. Lines that are not understood become rules with an "other" part, never an error. */
export function readSaved(text: string): SavedTables {
  const tables = new Map<Table, { chains: string[]; rules: SavedRule[] }>();
  let current: { chains: string[]; rules: SavedRule[] } | undefined;
  for (const line of text.split("\n")) {
    if (line.startsWith("*")) {
      const name = tableOrder.find((table) => table === line.slice(1).trim());
      current = { chains: [], rules: [] };
      if (name !== undefined) tables.set(name, current);
    } else if (line.startsWith(":")) current?.chains.push(line.slice(1).split(" ")[0] ?? "");
    else if (line.startsWith("-A ")) current?.rules.push(readRule(line));
  }
  return tables;
}

function readRule(line: string): SavedRule {
  const [, chain = "", text = ""] = /^-A (\S+) ?(.*)$/.exec(line) ?? [];
  return { chain, text, ...readWords(wordsOf(text)) };
}

/** Words, with "quoted ones" as one. */
const wordsOf = (text: string): readonly string[] =>
  (text.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []).map((word) =>
    word.startsWith('"') ? word.slice(1, -1).replaceAll(/\\(.)/g, "$1") : word,
  );

function readWords(words: readonly string[]): { readonly matches: readonly Match[]; readonly verdict: Verdict } {
  const target = words.findIndex((word) => word === "-j" || word === "-g");
  const matches = readMatches(target < 0 ? words : words.slice(0, target));
  if (target < 0) return { matches, verdict: { do: "nothing" } };
  const verdict = words[target] === "-g" ? other(words.slice(target)) : readTarget(words.slice(target + 1));
  return { matches, verdict };
}

const other = (words: readonly string[]): Verdict => ({ do: "other", text: words.join(" ") });

/** The modules that -m names carry no meaning of their own: their options do. */
const silentModules = new Set(["tcp", "udp", "owner", "mark", "connmark", "conntrack", "multiport"]);

function readMatches(words: readonly string[]): readonly Match[] {
  const matches: Match[] = [];
  let not = false;
  let module = "";
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    const value = words[at + 1] ?? "";
    if (word === "!") {
      not = true;
      continue;
    }
    if (word === "-m") {
      module = value;
      if (!silentModules.has(value)) matches.push({ is: "other", text: `-m ${value}` });
      at++;
      continue;
    }
    const [match, used] = readOption(word, value, words[at + 2] ?? "", module);
    matches.push(not ? negate(match) : match);
    not = false;
    at += used;
  }
  return matches;
}

function negate(match: Match): Match {
  if (match.is === "protocol" || match.is === "state" || match.is === "syn" || match.is === "other")
    return { is: "other", text: `! ${JSON.stringify(match)}` };
  return { ...match, not: true };
}

/** One option and how many words after it belong to it. */
function readOption(word: string, value: string, next: string, module: string): readonly [Match, number] {
  const unknown: readonly [Match, number] = [{ is: "other", text: word }, 0];
  switch (word) {
    case "-p":
      return [
        value === "tcp" || value === "udp" ? { is: "protocol", protocol: value } : { is: "other", text: `-p ${value}` },
        1,
      ];
    case "-i":
    case "-o":
      return [{ is: word === "-i" ? "in" : "out", name: value }, 1];
    case "-s":
    case "-d": {
      const cidr = parseHostOrCidr(value);
      return [
        cidr ? { is: word === "-s" ? "source" : "destination", cidr } : { is: "other", text: `${word} ${value}` },
        1,
      ];
    }
    case "--sport":
    case "--sports":
    case "--dport":
    case "--dports":
      return [portsOf(word, value), 1];
    case "--uid-owner":
    case "--gid-owner": {
      const ids = readIds(value);
      return [ids ? { is: word === "--uid-owner" ? "uid" : "gid", ids } : { is: "other", text: `${word} ${value}` }, 1];
    }
    case "--mark":
      return [markOf(module, value), 1];
    case "--ctstate":
      return [{ is: "state", states: value.split(",") }, 1];
    case "--tcp-flags":
      return value.split(",").toSorted().join() === "ACK,FIN,RST,SYN" && next === "SYN"
        ? [{ is: "syn" }, 2]
        : [{ is: "other", text: `--tcp-flags ${value} ${next}` }, 2];
    default:
      return unknown;
  }
}

function portsOf(word: string, value: string): Match {
  const ports = value.split(",").map(Number);
  if (ports.some((port) => !Number.isInteger(port))) return { is: "other", text: `${word} ${value}` };
  return { is: word.startsWith("--s") ? "sport" : "dport", ports };
}

function markOf(module: string, value: string): Match {
  const mark = Number(value);
  if ((module !== "mark" && module !== "connmark") || !Number.isInteger(mark))
    return { is: "other", text: `--mark ${value}` };
  return { is: module, value: mark };
}

/** The value of an option among a target's words. */
const option = (words: readonly string[], name: string): string | undefined => {
  const at = words.indexOf(name);
  return at < 0 ? undefined : words[at + 1];
};

function readTarget(words: readonly string[]): Verdict {
  const [name = "", ...rest] = words;
  const whole = "0xffffffff";
  switch (name) {
    case "RETURN":
    case "ACCEPT":
    case "DROP":
      return rest.length === 0 ? { do: name.toLowerCase() as "return" | "accept" | "drop" } : other(words);
    case "REDIRECT":
      return { do: "redirect", port: Number(option(rest, "--to-ports")) };
    case "TPROXY":
      return {
        do: "tproxy",
        port: Number(option(rest, "--on-port")),
        mark: masked(option(rest, "--tproxy-mark"), whole),
      };
    case "MARK":
      return { do: "set-mark", mark: masked(option(rest, "--set-xmark"), whole) };
    case "CONNMARK":
      if (option(rest, "--nfmask") !== whole || option(rest, "--ctmask") !== whole) return other(words);
      return rest.includes("--save-mark")
        ? { do: "save-mark" }
        : rest.includes("--restore-mark")
          ? { do: "restore-mark" }
          : other(words);
    case "CT":
      return rest[0] === "--zone" && rest.length === 2 ? { do: "zone", zone: Number(rest[1]) } : other(words);
    case "REJECT": {
      const by = option(rest, "--reject-with") ?? "";
      if (by === "tcp-reset") return { do: "reject", by };
      return /^icmp6?-port-unreachable$/.test(by) ? { do: "reject", by: "port-unreachable" } : other(words);
    }
    case "NFLOG":
      return { do: "log", prefix: option(rest, "--nflog-prefix") ?? "" };
    default:
      return rest.length === 0 ? { do: "jump", to: name } : other(words);
  }
}

/** `0x539/0xffffffff` -> 1337; NaN (equal to nothing) for another mask. */
function masked(value: string | undefined, mask: string): number {
  const [mark, given] = (value ?? "").split("/");
  return given === mask ? Number(mark) : Number.NaN;
}

/** What of a table is ours: our chains with all that is in them, and every jump to them out of the kernel's chains. */
export function oursOf(table: SavedTable | undefined): TableText {
  const chains = new Map<string, string[]>();
  const jumps: Jump[] = [];
  for (const name of table?.chains ?? []) if (isOurChain(name)) chains.set(name, []);
  const places = new Map<string, number>();
  for (const rule of table?.rules ?? []) {
    const at = (places.get(rule.chain) ?? 0) + 1;
    places.set(rule.chain, at);
    chains.get(rule.chain)?.push(rule.text);
    if (isOurJump(rule)) jumps.push({ chain: rule.chain, rule: rule.text, at });
  }
  return { chains, jumps };
}

export const isOurJump = (rule: SavedRule): boolean =>
  isHook(rule.chain) && rule.verdict.do === "jump" && isOurChain(rule.verdict.to);
