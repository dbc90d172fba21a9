import type { Problems } from "../foundation/problems.ts";
import type { Millis } from "../foundation/time.ts";
import { parseBoolean, parseDuration, parseHostPort, parseInteger } from "./units.ts";

/** Values of the command line by long name, in the order given. */
export type FlagValues = ReadonlyMap<string, readonly string[]>;

/** Typed reads of flags; of a flag given twice the last counts. A bad value becomes a problem named `--flag`. */
export class FlagReader {
  readonly #values: FlagValues;
  readonly #problems: Problems;

  constructor(values: FlagValues, problems: Problems) {
    this.#values = values;
    this.#problems = problems;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** An empty text is as good as none: that is what templates write for a value that they don't have. */
  text(name: string): string | undefined {
    const value = this.#values.get(name)?.at(-1);
    return value === "" ? undefined : value;
  }

  boolean(name: string): boolean | undefined {
    return this.#read(name, "use true or false", parseBoolean);
  }

  integer(name: string, least: number, most: number): number | undefined {
    return this.#read(name, `use a whole number from ${least} to ${most}`, (text) => {
      const value = parseInteger(text);
      return value !== undefined && value >= least && value <= most ? value : undefined;
    });
  }

  /** `least` in ms; the default asks for more than nothing. */
  duration(name: string, least: Millis = Number.MIN_VALUE): Millis | undefined {
    const allowed =
      least > 0 ? "use a duration above 0 such as 45s, 300ms or 1h30m" : "use a duration such as 45s or 0";
    return this.#read(name, allowed, (text) => {
      const value = parseDuration(text);
      return value !== undefined && value >= least ? value : undefined;
    });
  }

  address(name: string): string | undefined {
    return this.#read(name, "use host:port, an IPv6 address in brackets", (text) =>
      parseHostPort(text) === undefined ? undefined : text,
    );
  }

  oneOf<T extends string>(name: string, members: readonly T[]): T | undefined {
    return this.#read(name, `use one of ${members.join(", ")}`, (text) => members.find((member) => member === text));
  }

  problem(name: string, text: string): void {
    this.#problems.add(`--${name}`, text);
  }

  #read<T>(name: string, allowed: string, parse: (text: string) => T | undefined): T | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value === undefined) this.#problems.add(`--${name}`, `"${text}" can't be used; ${allowed}`);
    return value;
  }
}
