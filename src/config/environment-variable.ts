/** One row of the environment's table: the readers check values by it, docs/environment.md is written from it. */
export interface Variable {
  readonly kind: VariableKind;
  /** As a user would write it; left out when not being set means something of its own. */
  readonly default?: string;
  /** Allowed values of a `choice`. */
  readonly choices?: readonly string[];
  /** One or two sentences. */
  readonly summary: string;
  /** For what Istio knows and we take differently or not yet. */
  readonly today?: string;
}

export type VariableKind =
  | "text"
  | "boolean"
  | "port"
  /** A port, or 0 for off. */
  | "port-or-off"
  | "integer"
  /** A number from 0 to 1. */
  | "ratio"
  | "duration"
  /** Texts with commas between. */
  | "list"
  | "choice"
  /** host:port. */
  | "address"
  | "json";

/** How the docs and the messages name what is allowed. */
export const allowedText: Readonly<Record<VariableKind, string>> = {
  text: "any text",
  boolean: "true or false",
  port: "a port from 1 to 65535",
  "port-or-off": "a port from 1 to 65535, or 0 for off",
  integer: "a whole number, 0 or more",
  ratio: "a number from 0 to 1",
  duration: "a duration such as 45s, 300ms or 1h30m",
  list: "texts with commas between",
  choice: "one of the values named",
  address: "host:port, an IPv6 address in brackets",
  json: "JSON",
};
