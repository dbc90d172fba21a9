import { familyTypes, isPlainName, notePlainName, SPACE, unescapeValue } from "./exposition.ts";
import { plainNameEnd } from "./line-scan.ts";

/** What a comment line says of a family. */
export interface Comment {
  readonly what: "HELP" | "TYPE" | "UNIT";
  /** The family's name, unescaped. */
  readonly name: string;
  /** The rest of the line, as written. */
  readonly rest: string;
  /** In the form that we write, too: single spaces, no quotes, nothing behind. */
  readonly plain: boolean;
}

const TAB = 9;
const CR = 13;
const words = (["HELP", "TYPE", "UNIT"] as const).map((what) => ({ what, bytes: Buffer.from(`# ${what} `) }));
const types = familyTypes.map((word) => ({ word, bytes: Buffer.from(word) }));
const eof = Buffer.from("# EOF");

/** The comment from `at` to the line feed at `end`; undefined when it says nothing of a family. */
export function readComment(bytes: Buffer, at: number, end: number): Comment | undefined {
  return plainComment(bytes, at, end) ?? oddComment(bytes.toString("utf8", at, end));
}

/** The form that almost all have: single spaces, no quotes. */
function plainComment(bytes: Buffer, at: number, end: number): Comment | undefined {
  const word = wordAt(bytes, at);
  if (word === undefined) return undefined;
  const name = at + word.bytes.length;
  const nameEnd = plainNameEnd(bytes, name);
  const first = bytes[nameEnd + 1];
  const last = bytes[end - 1];
  if (nameEnd === name || bytes[nameEnd] !== SPACE || nameEnd + 1 >= end) return undefined;
  if (first === SPACE || first === TAB || last === CR || last === SPACE || last === TAB) return undefined;
  return {
    what: word.what,
    name: notePlainName(bytes.toString("latin1", name, nameEnd)),
    rest: typeAt(bytes, nameEnd + 1, end) ?? bytes.toString("utf8", nameEnd + 1, end),
    plain: true,
  };
}

/** A type's word, which need not be decoded. */
function typeAt(bytes: Uint8Array, start: number, end: number): string | undefined {
  for (const { word, bytes: known } of types)
    if (known.length === end - start && startsWith(bytes, start, known)) return word;
  return undefined;
}

function wordAt(bytes: Uint8Array, at: number): (typeof words)[number] | undefined {
  for (const word of words) if (startsWith(bytes, at, word.bytes)) return word;
  return undefined;
}

function startsWith(bytes: Uint8Array, at: number, word: Uint8Array): boolean {
  for (let i = word.length - 1; i >= 0; i--) if (bytes[at + i] !== word[i]) return false;
  return true;
}

function oddComment(written: string): Comment | undefined {
  // Before all else, so that it is never part of a name.
  const line = written.endsWith("\r") ? written.slice(0, -1) : written;
  const found = /^#[ \t]+(HELP|TYPE|UNIT)[ \t]+("(?:[^"\\]|\\.)*"|[^ \t"]+)(?:[ \t]+(.*))?$/s.exec(line);
  if (found === null) return undefined;
  const [, what, word = "", rest = ""] = found;
  const quoted = word.startsWith('"');
  const name = quoted ? unescapeValue(word.slice(1, -1)) : word;
  if (name === "" || (!quoted && !isPlainName(name))) return undefined;
  return { what: what as Comment["what"], name, rest, plain: false };
}

/** Whether the line from `at` to its line feed at `end` is the mark that ends an OpenMetrics page. */
export function isEnd(bytes: Uint8Array, at: number, end: number): boolean {
  if (!startsWith(bytes, at, eof)) return false;
  const behind = at + eof.length;
  return behind === end || (behind + 1 === end && bytes[behind] === CR);
}
