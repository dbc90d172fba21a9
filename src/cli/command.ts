import type { Problem } from "../foundation/errors.ts";

/**
 * The one table shape from which parser, help, completion and docs/cli.md come. A command is data plus a loader, so
 * that `pilotfish wait` does not pay for the code of `pilotfish proxy`.
 */
export interface Command {
  readonly name: string;
  /** Further names on the command line, for example `istio-iptables`. */
  readonly aliases?: readonly string[];
  /** One line, capital first letter, full stop. */
  readonly summary: string;
  /** How it is called, without the program's name: `proxy [sidecar|router|waypoint] [flags]`. */
  readonly usage: string;
  /** Paragraphs for --help and the docs. */
  readonly description: readonly string[];
  readonly options: readonly Option[];
  /** `warn`: an unknown --flag is one warning (drop-in commands); `error`: exit 64. */
  readonly unknownFlags: "warn" | "error";
  /** Exit codes beyond 0 and 64, for help and docs. */
  readonly exitCodes: readonly (readonly [code: number, meaning: string])[];
  readonly hidden?: boolean;
  /** `own`: the command hears signals itself (a supervisor); everybody else gets their default action back. */
  readonly signals?: "own";
  /** The command reports `flags.problems` together with what it finds itself; otherwise they end the call before it. */
  readonly ownProblems?: true;
  readonly load: () => Promise<{ readonly run: (call: Call) => Promise<number> }>;
}

export interface Option {
  /** Long name without dashes: `proxyAdminPort`, `log_as_json`, `dry-run`. */
  readonly name: string;
  /** One letter without the dash. */
  readonly short?: string;
  /** Environment variable that sets it when the flag is absent. */
  readonly env?: string;
  /** A boolean flag takes a value only with `=`; every other kind takes one by `=` or as the next word. */
  readonly kind: "boolean" | "string" | "number" | "duration" | "list";
  /** What stands for the value in the help: `PORT`, `FILE`. */
  readonly placeholder?: string;
  /** Shown in help and docs; the reader of the value applies it. */
  readonly default?: string;
  /** One sentence. */
  readonly summary: string;
  /** For flags that Envoy or Istio no longer know: what it does now. */
  readonly today?: string;
  /** May be given more than once. */
  readonly repeatable?: boolean;
  readonly hidden?: boolean;
  readonly group?: string;
}

/** What the parser made of the words, without judging a value. */
export interface ParsedFlags {
  /** Values by long name in the order given; a boolean without `=` is "true". */
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly positionals: readonly string[];
  /** What stood behind `--`, undefined when there was none. */
  readonly rest: readonly string[] | undefined;
  /** Unknown flags, as given. */
  readonly unknown: readonly string[];
  /** Words that can't be used: a missing value, an unexpanded `$(NAME)`. Only for commands with `ownProblems`. */
  readonly problems?: readonly Problem[];
}

/** One call of a command: everything from the outside that it may look at, as values. */
export interface Call {
  readonly flags: ParsedFlags;
  readonly env: ReadonlyMap<string, string>;
  /** Name that the program was called by. */
  readonly program: string;
  readonly out: (text: string) => void;
  /** The same for bytes that may be no text; left out by tests that don't need it. */
  readonly outBytes?: (bytes: Uint8Array) => void;
  readonly err: (text: string) => void;
}
