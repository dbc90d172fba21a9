import type { Problems } from "../foundation/problems.ts";
import type { IdRange, Wanted } from "./capture-options.ts";
import { type Cidr, parseAddress, parseCidr } from "./cidr.ts";
import { readIds } from "./read-ids.ts";

/** Settings by the long flag's name: the flag's value, else the environment's; undefined is "not given". */
export type Settings = (name: string) => string | undefined;

/**
 * Readers of one setting each. A bad value becomes a problem and the fallback, so that all problems are found at once.
 */
export class ValueReader {
  readonly #settings: Settings;
  readonly #problems: Problems;
  constructor(settings: Settings, problems: Problems) {
    this.#settings = settings;
    this.#problems = problems;
  }

  bad(name: string, text: string): void {
    this.#problems.add(`--${name}`, text);
  }

  text(name: string): string | undefined {
    return this.#settings(name);
  }

  /** A boolean as Go reads it. */
  flag(name: string): boolean {
    const text = this.#settings(name) ?? "";
    if (/^(1|t|T|true|TRUE|True)$/.test(text)) return true;
    if (!/^(0|f|F|false|FALSE|False|)$/.test(text)) this.bad(name, `"${text}" is not a boolean; use true or false`);
    return false;
  }

  number(name: string, fallback: number, least: number, most: number, what: string): number {
    const text = this.#settings(name);
    if (text === undefined || text === "") return fallback;
    const value = Number(text);
    if (/^(\d+|0x[0-9a-f]+)$/i.test(text) && value >= least && value <= most) return value;
    this.bad(name, `"${text}" is not ${what}; use a number from ${least} to ${most}`);
    return fallback;
  }

  port(name: string, fallback: number): number {
    return this.number(name, fallback, 1, 65_535, "a port");
  }

  /** One of some words. */
  choice<T extends string>(name: string, fallback: T, choices: readonly T[]): T {
    const text = this.#settings(name);
    if (text === undefined || text === "") return fallback;
    const found = choices.find((one) => one === text);
    if (found === undefined) this.bad(name, `"${text}" is not known; use one of ${choices.join(", ")}`);
    return found ?? fallback;
  }

  /** A duration as Go writes it (`5s`, `1m30s`, `250ms`), in milliseconds; more than zero. */
  duration(name: string, fallback: number): number {
    const text = this.#settings(name);
    if (text === undefined || text === "") return fallback;
    const value = milliseconds(text);
    if (value !== undefined && value > 0) return value;
    this.bad(name, `"${text}" is not a duration; use for example 5s`);
    return fallback;
  }

  ports(name: string, fallback: readonly number[] = []): readonly number[] {
    const wanted = this.portsOrAll(name, fallback);
    if (wanted !== "all") return wanted;
    this.bad(name, `"*" is not allowed here; list the ports`);
    return fallback;
  }

  portsOrAll(name: string, fallback: Wanted<number>): Wanted<number> {
    return this.#list(name, fallback, (text) => {
      const port = Number(text);
      if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port;
      this.bad(name, `"${text}" is not a port; use numbers from 1 to 65535`);
      return undefined;
    });
  }

  cidrs(name: string): readonly Cidr[] {
    const wanted = this.cidrsOrAll(name, []);
    if (wanted !== "all") return wanted;
    this.bad(name, `"*" is not allowed here: everything would be excluded; list the ranges`);
    return [];
  }

  cidrsOrAll(name: string, fallback: Wanted<Cidr>): Wanted<Cidr> {
    return this.#list(name, fallback, (text) => {
      const cidr = parseCidr(text);
      if (cidr !== undefined) return cidr;
      const host = parseAddress(text);
      const hint = host ? `"${text}/${host.family === "v4" ? 32 : 128}"` : "for example 10.0.0.0/8 or fd00::/8";
      this.bad(name, `"${text}" is not a range of addresses; use ${hint}`);
      return undefined;
    });
  }

  interfaces(name: string): readonly string[] {
    const wanted = this.#list<string>(name, [], (text) => {
      // What the kernel allows, less what one of the tools would read as something else; `eth+` is a prefix.
      if (/^[A-Za-z0-9_.@:-]{1,15}\+?$/.test(text) && !/^\.{1,2}$/.test(text) && text.length <= 15) return text;
      this.bad(name, `"${text}" is not an interface's name; at most 15 letters, digits or _ . - @ :`);
      return undefined;
    });
    if (wanted !== "all") return wanted;
    this.bad(name, `"*" is not allowed here; list the interfaces`);
    return [];
  }

  /** Ids by number or by name of /etc/passwd or /etc/group. */
  ids(name: string, names: ReadonlyMap<string, number>, what: "user" | "group"): Wanted<IdRange> | undefined {
    const text = this.#settings(name);
    if (text === undefined || text === "") return undefined;
    return this.#list<IdRange>(name, [], (one) => {
      const known = names.get(one);
      const range = known === undefined ? readIds(one) : { from: known, to: known };
      if (range === undefined) this.bad(name, `"${one}" is not a ${what}; use a number, or a name that /etc knows`);
      return range;
    });
  }

  /** Comma separated, blanks ignored, each once; `*` alone is everything. */
  #list<T>(name: string, fallback: Wanted<T>, read: (text: string) => T | undefined): Wanted<T> {
    const given = this.#settings(name);
    if (given === undefined) return fallback;
    const parts = [...new Set(given.split(",").map((part) => part.trim()))].filter((part) => part !== "");
    if (parts.includes("*")) {
      if (parts.length > 1) this.bad(name, `"${given}" mixes "*" with a list; use one of the two`);
      return "all";
    }
    return parts.map(read).filter((one) => one !== undefined);
  }
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

function milliseconds(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return undefined;
  let sum = 0;
  for (const [, number, , unit = ""] of text.matchAll(/(\d+(\.\d+)?)(ms|s|m|h)/g))
    sum += Number(number) * (units[unit] ?? 0);
  return sum;
}
