/**
 * Labels or annotations as the downward API writes them into a file: one `key="value"` a line, the value quoted as Go's
 * %q. A line that can't be read is left out and told to `bad` with its number.
 */
export function parsePodInfo(text: string, bad: (line: number) => void): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [index, line] of text.split("\n").entries()) {
    const at = line.indexOf("=");
    if (at < 0) {
      if (line.trim() !== "") bad(index + 1);
      continue;
    }
    const value = unquote(line.slice(at + 1));
    if (value === undefined) bad(index + 1);
    else found.set(line.slice(0, at), value);
  }
  return found;
}

const escapes: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  '"': '"',
  "'": "'",
};

/** The text behind a Go string literal in double quotes; undefined when it is none. */
export function unquote(literal: string): string | undefined {
  const inner = /^"((?:[^"\\]|\\.)*)"$/s.exec(literal.trim())?.[1];
  if (inner === undefined) return undefined;
  if (!inner.includes("\\")) return inner;
  const out: string[] = [];
  // \xc3\xa9 and \303\251 are bytes of UTF-8: they make sense only together with their neighbours.
  const bytes: number[] = [];
  const push = (text: string): void => {
    if (bytes.length > 0) out.push(Buffer.from(bytes.splice(0)).toString("utf8"));
    out.push(text);
  };
  const parts = /\\x([0-9a-fA-F]{2})|\\([0-7]{3})|\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|\\(.)|([^\\]+)/gs;
  for (const [, hex, octal, short, long, simple, plain] of inner.matchAll(parts)) {
    const point = short ?? long;
    if (hex !== undefined) bytes.push(Number.parseInt(hex, 16));
    else if (octal !== undefined) bytes.push(Number.parseInt(octal, 8) & 0xff);
    else if (point !== undefined) push(codePoint(point));
    else if (plain !== undefined) push(plain);
    else if (simple === undefined || escapes[simple] === undefined) return undefined;
    else push(escapes[simple]);
  }
  push("");
  return out.join("");
}

function codePoint(hex: string): string {
  const point = Number.parseInt(hex, 16);
  const isCharacter = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
  return isCharacter ? String.fromCodePoint(point) : "\ufffd";
}
