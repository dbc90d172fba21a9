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
  const bytes: Uint8Array[] = [];
  const encoder = new TextEncoder();
  const parts = /\\x([0-9a-fA-F]{2})|\\([0-7]{3})|\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|\\(.)|([^\\]+)/gs;
  for (const [, hex, octal, short, long, simple, plain] of inner.matchAll(parts)) {
    const byte = hex === undefined ? octal && Number.parseInt(octal, 8) : Number.parseInt(hex, 16);
    const point = short ?? long;
    if (typeof byte === "number") bytes.push(new Uint8Array([byte]));
    else if (point !== undefined) bytes.push(encoder.encode(codePoint(point)));
    else if (plain !== undefined) bytes.push(encoder.encode(plain));
    else if (simple === undefined || escapes[simple] === undefined) return undefined;
    else bytes.push(encoder.encode(escapes[simple]));
  }
  return new TextDecoder().decode(Buffer.concat(bytes));
}

function codePoint(hex: string): string {
  const point = Number.parseInt(hex, 16);
  return point <= 0x10ffff ? String.fromCodePoint(point) : "\ufffd";
}
