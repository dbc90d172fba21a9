import type { Problems } from "../foundation/problems.ts";
import type { Millis } from "../foundation/time.ts";
import { environmentTable } from "./environment-table.ts";
import { allowedText, type Variable, type VariableKind } from "./environment-variable.ts";
import { parseBoolean, parseDuration, parseHostPort, parseInteger } from "./units.ts";

type Table = typeof environmentTable;
/** Names of the variables of one kind. */
export type VariableOf<K extends VariableKind> = {
  [N in keyof Table]: Table[N]["kind"] extends K ? N : never;
}[keyof Table];
/** undefined is a possible answer only where the table has no default. */
type Answer<N extends keyof Table, T> = Table[N] extends { readonly default: string } ? T : T | undefined;

/**
 * Reads the environment by its table. An empty value is as good as none, except in a text list. A value that is not
 * allowed becomes a problem with its name, and the read goes on with the default.
 */
export class EnvironmentReader {
  readonly #env: ReadonlyMap<string, string>;
  readonly #problems: Problems;
  /** What was asked for so far; a test holds it against the table. */
  readonly asked = new Set<string>();

  constructor(env: ReadonlyMap<string, string>, problems: Problems) {
    this.#env = env;
    this.#problems = problems;
  }

  text<N extends VariableOf<"text" | "json">>(name: N): Answer<N, string> {
    return this.#read(name, (text) => text);
  }

  boolean<N extends VariableOf<"boolean">>(name: N): Answer<N, boolean> {
    return this.#read(name, parseBoolean);
  }

  port<N extends VariableOf<"port">>(name: N): Answer<N, number> {
    return this.#read(name, (text) => inRange(parseInteger(text), 1, 65_535));
  }

  portOrOff<N extends VariableOf<"port-or-off">>(name: N): Answer<N, number> {
    return this.#read(name, (text) => inRange(parseInteger(text), 0, 65_535));
  }

  integer<N extends VariableOf<"integer">>(name: N): Answer<N, number> {
    return this.#read(name, (text) => inRange(parseInteger(text), 0, Number.MAX_SAFE_INTEGER));
  }

  ratio<N extends VariableOf<"ratio">>(name: N): Answer<N, number> {
    return this.#read(name, (text) => (/^\d*\.?\d+$/.test(text) ? inRange(Number(text), 0, 1) : undefined));
  }

  duration<N extends VariableOf<"duration">>(name: N): Answer<N, Millis> {
    return this.#read(name, (text) => inRange(parseDuration(text), 0, Number.MAX_SAFE_INTEGER));
  }

  list<N extends VariableOf<"list">>(name: N): Answer<N, readonly string[]> {
    return this.#read(name, (text) => text.split(",").map((one) => one.trim()));
  }

  address<N extends VariableOf<"address">>(name: N): Answer<N, string> {
    return this.#read(name, (text) => (parseHostPort(text) === undefined ? undefined : text));
  }

  choice<N extends VariableOf<"choice">>(name: N): Answer<N, Table[N]["choices"][number]> {
    const choices: readonly string[] = environmentTable[name].choices;
    return this.#read(name, (text) => (choices.includes(text) ? (text as Table[N]["choices"][number]) : undefined));
  }

  /** Every variable whose name begins with `prefix`, by the rest of its name, sorted so that results don't wobble. */
  prefixed(prefix: string): ReadonlyMap<string, string> {
    const found = [...this.#env].filter(([name]) => name.startsWith(prefix) && name.length > prefix.length);
    return new Map(found.map(([name, value]) => [name.slice(prefix.length), value] as const).sort(byName));
  }

  #read<N extends keyof Table, T>(name: N, parse: (text: string) => T | undefined): Answer<N, T> {
    this.asked.add(name);
    const variable: Variable = environmentTable[name];
    const given = this.#env.get(name);
    const fallback = variable.default === undefined ? undefined : parse(variable.default);
    // The table says by its type whether there is a default; a test parses all of them.
    if (given === undefined || given === "") return fallback as Answer<N, T>;
    const value = parse(given);
    if (value !== undefined) return value as Answer<N, T>;
    const allowed =
      variable.choices === undefined ? allowedText[variable.kind] : `one of ${variable.choices.join(", ")}`;
    this.#problems.add(name, `"${given}" can't be used; use ${allowed}`);
    return fallback as Answer<N, T>;
  }
}

const inRange = (value: number | undefined, least: number, most: number): number | undefined =>
  value !== undefined && value >= least && value <= most ? value : undefined;

const byName = ([a]: readonly [string, string], [b]: readonly [string, string]): number => (a < b ? -1 : 1);
