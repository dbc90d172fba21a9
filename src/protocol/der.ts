/**
 * ASN.1 DER as far as certificates and signing requests need it: 30 lines to write, 30 to read, instead of a library
 * that costs 8 MB of memory (docs/dependencies.md).
 */

const length = (n: number): Buffer => {
  if (n < 128) return Buffer.from([n]);
  const bytes: number[] = [];
  for (let left = n; left > 0; left = Math.floor(left / 256)) bytes.unshift(left % 256);
  return Buffer.from([0x80 | bytes.length, ...bytes]);
};

/** One element: tag, length, content. */
export const der = (tag: number, ...content: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(content);
  return Buffer.concat([Buffer.from([tag]), length(body.length), body]);
};

export const sequence = (...items: readonly Uint8Array[]): Buffer => der(0x30, ...items);
export const set = (...items: readonly Uint8Array[]): Buffer => der(0x31, ...items);
export const octets = (...content: readonly Uint8Array[]): Buffer => der(0x04, ...content);
export const bits = (content: Uint8Array): Buffer => der(0x03, Buffer.from([0]), content);
export const boolean = (value: boolean): Buffer => der(0x01, Buffer.from([value ? 0xff : 0]));
export const utf8 = (text: string): Buffer => der(0x0c, Buffer.from(text));
export const nothing = (): Buffer => der(0x05);
/** `[n]`, constructed. */
export const tagged = (n: number, ...content: readonly Uint8Array[]): Buffer => der(0xa0 | n, ...content);

/** A non-negative integer from its big-endian bytes. */
export function integer(value: number | Uint8Array): Buffer {
  let bytes = typeof value === "number" ? Buffer.from([value]) : Buffer.from(value);
  while (bytes.length > 1 && bytes[0] === 0 && (bytes[1] ?? 0) < 0x80) bytes = bytes.subarray(1);
  return der(0x02, (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
}

/** An object identifier from its dotted form. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const digits = [part & 0x7f];
    for (let left = part >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80);
    bytes.push(...digits);
  }
  return der(0x06, Buffer.from(bytes));
}

/** UTCTime up to 2049, GeneralizedTime after that (RFC 5280 4.1.2.5). */
export function time(date: Date): Buffer {
  const digits = date
    .toISOString()
    .replace(/[-:T]/g, "")
    .replace(/\.\d+Z$/, "Z");
  return date.getUTCFullYear() < 2050 ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits));
}

/** An element that was read; `whole` and `content` are views into the input. */
export interface Element {
  readonly tag: number;
  readonly whole: Buffer;
  readonly content: Buffer;
}

/** The element at `offset`. Throws when the bytes are not DER or end too early. */
export function readElement(bytes: Buffer, offset = 0): Element {
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined) throw new Error("cannot read DER: it ends too early");
  let start = offset + 2;
  let size = first;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count === 0 || count > 4) throw new Error("cannot read DER: a length that DER does not have");
    size = bytes.subarray(start, start + count).reduce((sum, byte) => sum * 256 + byte, 0);
    start += count;
  }
  if (start + size > bytes.length) throw new Error("cannot read DER: it ends too early");
  return { tag, whole: bytes.subarray(offset, start + size), content: bytes.subarray(start, start + size) };
}

/** The elements inside a constructed one. */
export function children(element: Element): readonly Element[] {
  const out: Element[] = [];
  for (let at = 0; at < element.content.length; ) {
    const next = readElement(element.content, at);
    out.push(next);
    at += next.whole.length;
  }
  return out;
}

/** PEM text of one block. */
export function toPem(label: string, bytes: Uint8Array): string {
  const lines = Buffer.from(bytes).toString("base64").replace(/.{64}/g, "$&\n").trimEnd();
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

/** All blocks of a PEM text with this label, as DER; text around them is ignored. */
export function fromPem(label: string, text: string): readonly Buffer[] {
  const block = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]*?)-----END ${label}-----`, "g");
  return [...text.matchAll(block)].map((found) => Buffer.from(found[1] ?? "", "base64"));
}

/** Object identifiers that we write. */
export const oids = {
  commonName: "2.5.4.3",
  organization: "2.5.4.10",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  keyUsage: "2.5.29.15",
  extendedKeyUsage: "2.5.29.37",
  subjectKeyIdentifier: "2.5.29.14",
  authorityKeyIdentifier: "2.5.29.35",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  extensionRequest: "1.2.840.113549.1.9.14",
  sha256WithRsa: "1.2.840.113549.1.1.11",
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  ecdsaWithSha384: "1.2.840.10045.4.3.3",
} as const;

/** The signature algorithm for a key kind, as DER. */
export function signatureAlgorithm(kind: "rsa" | "p256" | "p384"): Buffer {
  if (kind === "rsa") return sequence(oid(oids.sha256WithRsa), nothing());
  return sequence(oid(kind === "p256" ? oids.ecdsaWithSha256 : oids.ecdsaWithSha384));
}

/** An X.509 extension. */
export const extension = (id: string, critical: boolean, value: Uint8Array): Buffer =>
  sequence(oid(id), ...(critical ? [boolean(true)] : []), octets(value));

/** SubjectAltName's value: URIs, DNS names, IPv4 addresses. */
export function altNames(names: {
  readonly uris?: readonly string[];
  readonly dns?: readonly string[];
  readonly ips?: readonly string[];
}): Buffer {
  return sequence(
    ...(names.uris ?? []).map((uri) => der(0x86, Buffer.from(uri))),
    ...(names.dns ?? []).map((name) => der(0x82, Buffer.from(name))),
    ...(names.ips ?? []).map((ip) => der(0x87, Buffer.from(ip.split(".").map(Number)))),
  );
}
