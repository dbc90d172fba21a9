import { parse } from "yaml";
import type { Problem } from "../foundation/errors.ts";
import { describeError } from "../foundation/errors.ts";
import { isObject, type Json, type JsonObject, tooLarge } from "./json-value.ts";
import { isQuantity } from "./quantities.ts";

/**
 * Reads a pod's annotations, each by its kind. A missing or empty one is the fallback; one that cannot be used is a
 * problem and the fallback.
 */
export class Annotations {
  readonly #map: ReadonlyMap<string, string>;
  readonly #problems: Problem[];
  readonly #nameOf: (annotation: string) => string;

  /** `nameOf`: how a problem names the annotation (its place in the document). */
  constructor(map: ReadonlyMap<string, string>, problems: Problem[], nameOf: (annotation: string) => string) {
    this.#map = map;
    this.#problems = problems;
    this.#nameOf = nameOf;
  }

  /** The text as it is, also when it is empty; undefined when there is no such annotation. */
  raw(name: string): string | undefined {
    return this.#map.get(name);
  }

  #read<T>(name: string, fallback: T, allowed: string, read: (text: string) => T | undefined): T {
    const text = this.#map.get(name);
    if (text === undefined || text === "") return fallback;
    const value = read(text);
    if (value === undefined) this.problem(name, `${JSON.stringify(text)} is not ${allowed}`);
    return value ?? fallback;
  }

  problem(name: string, text: string): void {
    this.#problems.push({ name: this.#nameOf(name), text });
  }

  boolean(name: string): boolean | undefined {
    return this.#read<boolean | undefined>(name, undefined, `"true" or "false"`, readBoolean);
  }

  oneOf<T extends string>(name: string, fallback: T, allowed: readonly T[]): T {
    return this.#read(name, fallback, `one of ${allowed.join(", ")}`, (text) => allowed.find((one) => one === text));
  }

  whole(name: string, fallback: number, least: number, most: number): number {
    return this.#read(name, fallback, `a whole number from ${least} to ${most}`, (text) => {
      const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
      return value >= least && value <= most ? value : undefined;
    });
  }

  quantity(name: string): string | undefined {
    return this.#read<string | undefined>(name, undefined, `a quantity such as "100m" or "128Mi"`, (text) =>
      isQuantity(text) ? text : undefined,
    );
  }

  /** Ports with commas; "*" where `star` says so. An empty annotation means "none" here, not the fallback. */
  ports(name: string, fallback: string, star: boolean): string {
    return this.#list(name, fallback, star, "a port from 0 to 65535", isPort);
  }

  /** Address ranges with commas, each with a slash. */
  ranges(name: string, fallback: string, star: boolean): string {
    return this.#list(name, fallback, star, 'a range such as "10.0.0.0/8" or "fd00::/8"', isRange);
  }

  interfaces(name: string, fallback: string): string {
    return this.#list(name, fallback, false, "the name of a network interface", (one) => /^[^\s/,]{1,15}$/.test(one));
  }

  #list(name: string, fallback: string, star: boolean, allowed: string, fits: (one: string) => boolean): string {
    const text = this.#map.get(name);
    if (text === undefined) return fallback;
    if (text.trim() === "") return "";
    if (star && text === "*") return text;
    const parts = text.split(",").map((one) => one.trim());
    const wrong = parts.filter((one) => !fits(one));
    if (wrong.length === 0) return parts.join(",");
    this.problem(name, `${wrong.map((one) => JSON.stringify(one)).join(", ")} is not ${allowed}`);
    return fallback;
  }

  /** A map, in YAML or JSON. */
  map(name: string): JsonObject {
    return this.#yaml(name, "a map in YAML or JSON", isObject) ?? {};
  }

  #yaml<T extends Json>(name: string, allowed: string, fits: (value: Json) => value is T): T | undefined {
    const text = this.#map.get(name);
    if (text === undefined || text.trim() === "") return undefined;
    try {
      const value = structured(text);
      const large = tooLarge(value);
      if (large !== undefined) {
        this.problem(name, large);
        return undefined;
      }
      if (fits(value)) return value;
      this.problem(name, `it is not ${allowed}`);
    } catch (error) {
      this.problem(name, `it is not ${allowed}: ${describeError(error).split("\n")[0] ?? ""}`);
    }
    return undefined;
  }
}

/**
 * JSON is read as such, which is a hundred times faster; keys that are there twice are not looked for in YAML, since
 * that takes the square of their number.
 */
function structured(text: string): Json {
  if (text.trimStart().startsWith("{")) {
    try {
      return JSON.parse(text) as Json;
    } catch {
      // A flow map of YAML.
    }
  }
  return parse(text, { maxAliasCount: 100, uniqueKeys: false }) as Json;
}

const readBoolean = (text: string): boolean | undefined => {
  if (["true", "True", "TRUE", "1", "t", "T"].includes(text)) return true;
  return ["false", "False", "FALSE", "0", "f", "F"].includes(text) ? false : undefined;
};

export const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) <= 65_535;

/** An address range, v4 or v6, with its length. */
export function isRange(text: string): boolean {
  const [, address = "", length = ""] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  if (isV4(address)) return Number(length) <= 32;
  return isV6(address) && Number(length) <= 128;
}

const isV4 = (text: string): boolean =>
  /^\d{1,3}(\.\d{1,3}){3}$/.test(text) && text.split(".").every((part) => Number(part) <= 255);

function isV6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2 || !text.includes(":")) return false;
  const groups = halves.flatMap((half) => (half === "" ? [] : half.split(":")));
  const count = groups.reduce((sum, group) => sum + (group.includes(".") ? 2 : 1), 0);
  const fits = groups.every((group, at) => /^[0-9a-f]{1,4}$/i.test(group) || (at === groups.length - 1 && isV4(group)));
  return fits && (halves.length === 2 ? count < 8 : count === 8);
}
