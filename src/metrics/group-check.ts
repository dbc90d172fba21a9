import type { FamilyType } from "./exposition.ts";
import type { SampleKind } from "./naming.ts";

/** Groups of one family that are remembered, to tell one that comes a second time; beyond that it is not told. */
const MOST_GROUPS = 200_000;

/**
 * OpenMetrics' rules for histograms and summaries, over the lines of one family as they come. A group is all samples
 * with the same labels (but `le` or `quantile`) and time: it must stand together, and add up.
 */
export class GroupCheck {
  readonly #type: FamilyType;
  readonly #seen = new Set<number>();
  #key = Number.NaN;
  #time: number | undefined;
  #right = true;
  #bound = Number.NaN;
  #value = 0;
  #count: number | undefined;
  #sum = false;
  #negativeSum = false;
  #negativeBound = false;

  constructor(type: FamilyType) {
    this.#type = type;
  }

  /** Whether a line with these labels (their hash) and this time begins another group. */
  isNew(key: number, time: number | undefined): boolean {
    return key !== this.#key || time !== this.#time;
  }

  /** Whether there were lines with these labels already. */
  isKnown(key: number): boolean {
    return key === this.#key || this.#seen.has(key);
  }

  /** A group with these labels, without a time, has passed elsewhere. */
  pass(key: number): void {
    this.begin(key, undefined);
  }

  begin(key: number, time: number | undefined): void {
    const sameSeries = key === this.#key;
    const later = time !== undefined && this.#time !== undefined && time > this.#time;
    this.#right = sameSeries ? later : !this.#seen.has(key);
    if (this.#seen.size < MOST_GROUPS) this.#seen.add(key);
    this.#key = key;
    this.#time = time;
    this.#bound = Number.NaN;
    this.#value = 0;
    this.#count = undefined;
    this.#sum = false;
    this.#negativeSum = false;
    this.#negativeBound = false;
  }

  /** `bound`: the value of `le` or `quantile`, NaN when there is none. */
  add(kind: SampleKind, bound: number, value: number): void {
    switch (kind) {
      case "bucket":
        if (Number.isNaN(bound) || bound <= this.#bound || !isCount(value) || value < this.#value) this.#right = false;
        this.#bound = bound;
        this.#value = value;
        if (bound < 0) this.#negativeBound = true;
        return;
      case "count":
        if (!isCount(value) || this.#count !== undefined) this.#right = false;
        this.#count = value;
        return;
      case "sum":
        if (!(value >= 0) || this.#sum) this.#right = false;
        this.#sum = true;
        return;
      case "gsum":
        if (Number.isNaN(value) || this.#sum) this.#right = false;
        if (value < 0) this.#negativeSum = true;
        this.#sum = true;
        return;
      case "quantile":
        if (!(bound >= 0 && bound <= 1) || value < 0) this.#right = false;
        return;
      case "plain":
      case "total":
      case "info":
      case "created":
        return;
    }
  }

  /** Whether the group that ends here may stand on an OpenMetrics page. */
  finish(): boolean {
    if (this.#type === "summary") return this.#right;
    const counted =
      this.#sum === (this.#count !== undefined) && (this.#count === undefined || this.#count === this.#value);
    const sums = this.#negativeBound ? this.#type !== "histogram" || !this.#sum : !this.#negativeSum;
    return this.#right && this.#bound === Number.POSITIVE_INFINITY && counted && sums;
  }
}

const isCount = (value: number): boolean => value >= 0 && Number.isInteger(value);

/** Two 32-bit hashes of a byte sequence in one number; groups are told apart by it. */
export class LabelHash {
  #a = 0;
  #b = 0;
  reset(): void {
    this.#a = 0x811c9dc5;
    this.#b = 0;
  }
  add(bytes: Uint8Array, start: number, end: number): void {
    let a = this.#a;
    let b = this.#b;
    for (let i = start; i < end; i++) {
      const byte = bytes[i] as number;
      a = Math.imul(a ^ byte, 0x01000193);
      b = (Math.imul(b, 31) + byte) | 0;
    }
    this.#a = a;
    this.#b = b;
  }
  get value(): number {
    return labelKey(this.#a, this.#b);
  }
}

/** Both hashes in one number. */
export const labelKey = (a: number, b: number): number => (a >>> 0) * 0x200000 + (b & 0x1fffff);
