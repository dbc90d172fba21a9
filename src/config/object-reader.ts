import type { Problems } from "../foundation/problems.ts";
import type { Millis } from "../foundation/time.ts";
import type { Json, JsonObject } from "./agent-config.ts";
import { parseBoolean, parseDuration, parseHostPort, parseInteger } from "./units.ts";

/**
 * Typed reads from an object of Istio's configuration, which is protobuf's JSON: names in lowerCamelCase or
 * snake_case, numbers also as text, null and an empty text mean not set. What is wrong becomes a problem named `where: field`, and the
 * read gives undefined.
 */
export class ObjectReader {
  readonly #object: JsonObject;
  readonly #where: string;
  readonly #problems: Problems;

  constructor(object: JsonObject, where: string, problems: Problems) {
    this.#object = object;
    this.#where = where;
    this.#problems = problems;
  }

  get fields(): readonly string[] {
    return Object.keys(this.#object).filter((name) => this.#object[name] !== null);
  }

  text(name: string): string | undefined {
    return this.#read(name, "use a text", (value) => (typeof value === "string" ? value : undefined));
  }

  boolean(name: string): boolean | undefined {
    return this.#read(name, "use true or false", (value) =>
      typeof value === "boolean" ? value : typeof value === "string" ? parseBoolean(value) : undefined,
    );
  }

  integer(name: string, least: number, most: number): number | undefined {
    return this.#read(name, `use a whole number from ${least} to ${most}`, (value) => {
      const number = typeof value === "number" ? value : typeof value === "string" ? parseInteger(value) : undefined;
      return Number.isInteger(number) && number !== undefined && number >= least && number <= most ? number : undefined;
    });
  }

  duration(name: string): Millis | undefined {
    return this.#read(name, "use a duration above 0 such as 45s, 300ms or 1h30m", (value) => {
      const duration = typeof value === "string" ? parseDuration(value) : undefined;
      return duration !== undefined && duration > 0 ? duration : undefined;
    });
  }

  /** Protobuf's JSON names an enum's member or gives its number; `members` is in the order of the numbers. */
  oneOf<T extends string>(name: string, members: readonly T[]): T | undefined {
    return this.#read(name, `use one of ${members.join(", ")}`, (value) =>
      typeof value === "number" ? members[value] : members.find((member) => member === value),
    );
  }

  address(name: string): string | undefined {
    return this.#read(name, "use host:port, an IPv6 address in brackets", (value) =>
      typeof value === "string" && parseHostPort(value) !== undefined ? value : undefined,
    );
  }

  textList(name: string): readonly string[] | undefined {
    return this.#read(name, "use a list of texts", (value) =>
      Array.isArray(value) && value.every((one) => typeof one === "string") ? (value as readonly string[]) : undefined,
    );
  }

  textMap(name: string): ReadonlyMap<string, string> | undefined {
    return this.#read(name, "use an object whose values are texts", (value) => {
      if (!isObject(value)) return undefined;
      const entries = Object.entries(value).map(([key, one]) => [key, scalarText(one)] as const);
      return entries.every(([, one]) => one !== undefined) ? new Map(entries as [string, string][]) : undefined;
    });
  }

  object(name: string): ObjectReader | undefined {
    const value = this.#read(name, "use an object", (one) => (isObject(one) ? one : undefined));
    return value === undefined ? undefined : new ObjectReader(value, `${this.#where}.${name}`, this.#problems);
  }

  #read<T>(name: string, allowed: string, accept: (value: Json) => T | undefined): T | undefined {
    const value = this.#object[name] ?? this.#object[snakeCase(name)] ?? null;
    if (value === null || value === "") return undefined;
    const accepted = accept(value);
    if (accepted === undefined)
      this.#problems.add(`${this.#where}.${name}`, `${shown(value)} can't be used; ${allowed}`);
    return accepted;
  }
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** YAML writes `true` and `15` where a map of texts is meant; Istio's reader takes them as their text too. */
export const scalarText = (value: Json | undefined): string | undefined =>
  typeof value === "string"
    ? value
    : typeof value === "number" || typeof value === "boolean"
      ? String(value)
      : undefined;

export const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
export const camelCase = (name: string): string =>
  name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** The value for a message, short enough for a log line. */
export function shown(value: Json): string {
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
