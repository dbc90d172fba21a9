import { parseDocument } from "yaml";
import type { Json } from "./agent-config.ts";
import type { ReadStructured } from "./structured-text.ts";

/**
 * YAML (and JSON, which is a part of it). Loaded only when there is YAML to read: the package costs some 10 ms of
 * every start. Aliases are limited by the package, so that a small file can't grow into a huge value.
 */
export const readYaml: ReadStructured = (text) => {
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true, version: "1.1", logLevel: "error" });
  const error = document.errors[0];
  if (error !== undefined) {
    const why = (error.message.split("\n")[0] ?? "").replace(/ at line \d+, column \d+:?$/, "");
    return { ok: false, line: error.linePos?.[0].line, why };
  }
  try {
    return { ok: true, value: plain(document.toJS({ maxAliasCount: 100 })) };
  } catch (cause) {
    return { ok: false, line: undefined, why: cause instanceof Error ? cause.message : String(cause) };
  }
};

/** JSON's values only: a date or a number key of YAML 1.1 becomes its text. */
const plain = (value: unknown): Json => (value === undefined ? null : (JSON.parse(JSON.stringify(value)) as Json));
