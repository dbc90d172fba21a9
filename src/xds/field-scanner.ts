/**
 * Reads the top-level fields of a protobuf message while its bytes pass by, without decoding and without keeping them:
 * small fields that are wanted are collected, the first bytes of a large one can be looked at, everything else is
 * jumped over. This is how a 20 MB push is understood for the log while it is only forwarded.
 */
export interface FieldRules {
  /** How many bytes of a field are collected; 0 jumps over it. `occurrence` counts from 0 for each field number. */
  readonly collect: (field: number, occurrence: number) => number;
  /** A length-delimited field ended, or as much of it as was wanted is there. */
  readonly onField: (field: number, start: Buffer, length: number) => void;
}

/** The bytes are no protobuf message: forwarded all the same, but not understood. */
export type Scanned = "reading" | "not-protobuf";

export class FieldScanner {
  readonly #rules: FieldRules;
  readonly #seen = new Map<number, number>();
  #varint = 0;
  #shift = 0;
  #state: "tag" | "length" | "body" | "varint-value" | "fixed" | "broken" = "tag";
  #field = 0;
  #length = 0;
  #left = 0;
  #wanted = 0;
  #kept: Buffer[] = [];
  #keptSize = 0;

  constructor(rules: FieldRules) {
    this.#rules = rules;
  }

  push(bytes: Buffer): Scanned {
    for (let at = 0; at < bytes.length; ) {
      if (this.#state === "broken") return "not-protobuf";
      at = this.#state === "body" || this.#state === "fixed" ? this.#skip(bytes, at) : this.#readVarint(bytes, at);
    }
    return this.#state === "broken" ? "not-protobuf" : "reading";
  }

  #skip(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    if (this.#keptSize < this.#wanted) {
      const part = bytes.subarray(at, Math.min(end, at + this.#wanted - this.#keptSize));
      // Copied: a view would keep the whole chunk alive.
      this.#kept.push(Buffer.from(part));
      this.#keptSize += part.length;
      if (this.#keptSize === this.#wanted) this.#report();
    }
    this.#left -= end - at;
    if (this.#left === 0) this.#state = "tag";
    return end;
  }

  #report(): void {
    const start = this.#kept.length === 1 ? (this.#kept[0] ?? Buffer.alloc(0)) : Buffer.concat(this.#kept);
    this.#kept = [];
    this.#rules.onField(this.#field, start, this.#length);
  }

  #readVarint(bytes: Buffer, at: number): number {
    const byte = bytes[at] ?? 0;
    // Multiplication instead of shifts: lengths and tags stay below 2^35, where a shift would overflow.
    this.#varint += (byte & 0x7f) * 2 ** this.#shift;
    this.#shift += 7;
    if (byte >= 0x80) {
      if (this.#shift > 63) this.#state = "broken";
      return at + 1;
    }
    const value = this.#varint;
    this.#varint = 0;
    this.#shift = 0;
    if (this.#state === "tag") this.#onTag(value);
    else if (this.#state === "length") this.#onLength(value);
    else this.#state = "tag";
    return at + 1;
  }

  #onTag(tag: number): void {
    this.#field = Math.floor(tag / 8);
    const wire = tag % 8;
    this.#wanted = 0;
    this.#keptSize = 0;
    if (this.#field === 0) this.#state = "broken";
    else if (wire === 0) this.#state = "varint-value";
    else if (wire === 2) this.#state = "length";
    else if (wire === 1 || wire === 5) {
      this.#left = wire === 1 ? 8 : 4;
      this.#state = "fixed";
    } else this.#state = "broken";
  }

  #onLength(length: number): void {
    const occurrence = this.#seen.get(this.#field) ?? 0;
    this.#seen.set(this.#field, occurrence + 1);
    this.#length = length;
    this.#left = length;
    this.#wanted = Math.min(length, this.#rules.collect(this.#field, occurrence));
    this.#kept = [];
    this.#keptSize = 0;
    this.#state = length === 0 ? "tag" : "body";
    if (this.#wanted === 0) this.#rules.onField(this.#field, Buffer.alloc(0), length);
  }
}

/** The fields of a small message: number and the first `most` bytes of each, of those that are there that far. */
export function fieldsOf(
  bytes: Buffer,
  most = bytes.length,
): readonly { readonly field: number; readonly value: Buffer }[] {
  const out: { field: number; value: Buffer }[] = [];
  const scanner = new FieldScanner({ collect: () => most, onField: (field, value) => out.push({ field, value }) });
  scanner.push(bytes);
  return out;
}
