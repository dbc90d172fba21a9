/** The few parts of protobuf's wire format that Envoy's hot restart uses (protobuf: encoding). Pure. */

export type WireField =
  | { readonly number: number; readonly kind: "varint"; readonly value: bigint }
  | { readonly number: number; readonly kind: "bytes"; readonly value: Buffer }
  /** Fixed 32 or 64 bits: nothing of ours has them, a later Envoy may. */
  | { readonly number: number; readonly kind: "fixed"; readonly value: Buffer };

/** Largest number of bytes of a varint. */
const LONGEST_VARINT = 10;

/** Every field in order; undefined when the bytes are no protobuf message. */
export function readFields(bytes: Buffer): readonly WireField[] | undefined {
  const fields: WireField[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = readVarint(bytes, at);
    if (tag === undefined) return undefined;
    const field = readField(bytes, Number(tag.value), tag.next);
    if (field === undefined) return undefined;
    fields.push(field.field);
    at = field.next;
  }
  return fields;
}

function readField(
  bytes: Buffer,
  tag: number,
  at: number,
): { readonly field: WireField; readonly next: number } | undefined {
  const number = Math.floor(tag / 8);
  if (number < 1 || number > 536_870_911) return undefined;
  const type = tag % 8;
  if (type === 0) {
    const found = readVarint(bytes, at);
    return found && { field: { number, kind: "varint", value: found.value }, next: found.next };
  }
  if (type === 1 || type === 5) return slice(bytes, number, "fixed", at, type === 1 ? 8 : 4);
  if (type !== 2) return undefined;
  const length = readVarint(bytes, at);
  return length && slice(bytes, number, "bytes", length.next, Number(length.value));
}

function slice(bytes: Buffer, number: number, kind: "bytes" | "fixed", at: number, length: number) {
  if (at + length > bytes.length) return undefined;
  return { field: { number, kind, value: bytes.subarray(at, at + length) }, next: at + length };
}

function readVarint(bytes: Buffer, at: number): { readonly value: bigint; readonly next: number } | undefined {
  let value = 0n;
  for (let count = 0; count < LONGEST_VARINT; count++) {
    const byte = bytes[at + count];
    if (byte === undefined) return undefined;
    value |= BigInt(byte & 0x7f) << BigInt(7 * count);
    if (byte < 0x80) return { value: BigInt.asUintN(64, value), next: at + count + 1 };
  }
  return undefined;
}

/** A number field; proto3 leaves out a zero, as Envoy does. Negative numbers are written as 64 bits. */
export function varintField(number: number, value: bigint | number): Buffer {
  const big = BigInt.asUintN(64, BigInt(value));
  return big === 0n ? Buffer.alloc(0) : Buffer.concat([varint(BigInt(number * 8)), varint(big)]);
}

/** A string or message field; written also when it is empty: an empty message says which one it is. */
export function bytesField(number: number, value: Buffer | string): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([varint(BigInt(number * 8 + 2)), varint(BigInt(bytes.length)), bytes]);
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let left = value;
  while (left >= 0x80n) {
    bytes.push(Number(left & 0x7fn) | 0x80);
    left >>= 7n;
  }
  bytes.push(Number(left));
  return Buffer.from(bytes);
}
