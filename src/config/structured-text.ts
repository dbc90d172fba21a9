import type { Json } from "./agent-config.ts";

/** What a text in JSON or YAML holds, or where and why it can't be read. */
export type Structured =
  | { readonly ok: true; readonly value: Json }
  /** `line` counts from 1; undefined when the reader can't tell. */
  | { readonly ok: false; readonly line: number | undefined; readonly why: string };

export type ReadStructured = (text: string) => Structured;

/** A text from the outside and where it came from, for messages. */
export interface SourceText {
  readonly path: string;
  readonly text: string;
}

/** JSON, which is what injection writes into PROXY_CONFIG; YAML needs the reader of yaml-reader.ts. */
export const readJson: ReadStructured = (text) => {
  if (text.trim() === "") return { ok: true, value: null };
  try {
    return { ok: true, value: JSON.parse(text) as Json };
  } catch (error) {
    return { ok: false, line: lineOfSyntaxError(text, String(error)), why: reasonOf(String(error)) };
  }
};

/** V8 tells a position for most errors, a line for some, nothing for an early end. */
function lineOfSyntaxError(text: string, message: string): number | undefined {
  const line = /\(line (\d+) column \d+\)/.exec(message)?.[1];
  if (line !== undefined) return Number(line);
  const position = /position (\d+)/.exec(message)?.[1];
  if (position !== undefined) return text.slice(0, Number(position)).split("\n").length;
  return /end of JSON input/.test(message) ? text.trimEnd().split("\n").length : undefined;
}

/** The message without the text itself, which may hold a secret, and without the position that we tell ourselves. */
const reasonOf = (message: string): string =>
  message
    .replace(/^SyntaxError: /, "")
    .replace(/, ("|\.\.\.).*$/s, "")
    .replace(/ in JSON at position.*$/s, "")
    .replace(/ \(line \d+ column \d+\)$/, "");
