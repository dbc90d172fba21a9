/**
 * Addresses and ranges as numbers, so that the many spellings of one range (host bits set, a /32 left out, ::0001)
 * compare equal, whichever tool printed them.
 */
export type Family = "v4" | "v6";

export interface Cidr {
  readonly family: Family;
  /** First address of the range; host bits are zero. */
  readonly base: bigint;
  /** 0..32 or 0..128. */
  readonly length: number;
}

const bits: Readonly<Record<Family, number>> = { v4: 32, v6: 128 };

/** An address as a number; undefined when the text is none. Zones (`%eth0`) are not addresses here. */
export function parseAddress(text: string): { readonly family: Family; readonly value: bigint } | undefined {
  const v4 = parseV4(text);
  if (v4 !== undefined) return { family: "v4", value: v4 };
  const v6 = parseV6(text);
  return v6 === undefined ? undefined : { family: "v6", value: v6 };
}

function parseV4(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let value = 0n;
  for (const part of parts) {
    // A leading zero means octal to some tools: refused, as Go and Node do.
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    value = value * 256n + BigInt(part);
  }
  return value;
}

function parseV6(text: string): bigint | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const groups = halves.map(groupsOf);
  const [head, tail] = groups;
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  const given = head.length + (tail?.length ?? 0);
  if (halves.length === 1 ? given !== 8 : given > 7) return undefined;
  const all = [...head, ...Array<bigint>(8 - given).fill(0n), ...(tail ?? [])];
  return all.reduce((sum, group) => sum * 65_536n + group, 0n);
}

/** The 16-bit groups of one side of `::`; a dotted quad at the end is two of them. */
function groupsOf(text: string): bigint[] | undefined {
  if (text === "") return [];
  const out: bigint[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    const quad = index === parts.length - 1 && part.includes(".") ? parseV4(part) : undefined;
    if (quad !== undefined) out.push(quad / 65_536n, quad % 65_536n);
    else if (/^[0-9a-f]{1,4}$/i.test(part)) out.push(BigInt(`0x${part}`));
    else return undefined;
  }
  return out;
}

/** `10.0.0.0/8`, `fd00::/8`; the length is required. Host bits are cleared, as the kernel does. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = "", length, more] = text.split("/");
  const parsed = parseAddress(address);
  if (parsed === undefined || length === undefined || more !== undefined || !/^\d{1,3}$/.test(length)) return undefined;
  return cidrOf(parsed.family, parsed.value, Number(length));
}

/** As parseCidr, but a bare address is the range of that one address. */
export function parseHostOrCidr(text: string): Cidr | undefined {
  if (text.includes("/")) return parseCidr(text);
  const parsed = parseAddress(text);
  return parsed && cidrOf(parsed.family, parsed.value, bits[parsed.family]);
}

function cidrOf(family: Family, value: bigint, length: number): Cidr | undefined {
  const width = bits[family];
  if (length > width) return undefined;
  const host = BigInt(width - length);
  return { family, base: (value >> host) << host, length };
}

export function formatCidr(cidr: Cidr): string {
  return `${formatAddress(cidr.family, cidr.base)}/${cidr.length}`;
}

/** Canonical text (RFC 5952 for v6). */
export function formatAddress(family: Family, value: bigint): string {
  if (family === "v4") return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join(".");
  const groups = Array.from({ length: 8 }, (_, index) => ((value >> BigInt(112 - 16 * index)) & 65_535n).toString(16));
  const zeros = longestZeroRun(groups);
  if (zeros.length < 2) return groups.join(":");
  return `${groups.slice(0, zeros.start).join(":")}::${groups.slice(zeros.start + zeros.length).join(":")}`;
}

function longestZeroRun(groups: readonly string[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === "0") length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}

/** Whether one range holds an address of the other. */
export function overlaps(a: Cidr, b: Cidr): boolean {
  if (a.family !== b.family) return false;
  const host = BigInt(bits[a.family] - Math.min(a.length, b.length));
  return a.base >> host === b.base >> host;
}

/** Whether `inner` lies wholly in `outer`. */
export function contains(outer: Cidr, inner: Cidr): boolean {
  return outer.length <= inner.length && overlaps(outer, inner);
}

/** The address that stands `offset` after the range's first one; undefined when the range is shorter. */
export function addressIn(cidr: Cidr, offset: bigint): string | undefined {
  if (offset >> BigInt(bits[cidr.family] - cidr.length) !== 0n) return undefined;
  return formatAddress(cidr.family, cidr.base + offset);
}
