import { BACKSLASH, CLOSE, COMMA, EQUALS, LF, OPEN, QUOTE, SPACE } from "./exposition.ts";

const NAME_START = 1;
const NAME = 2;
const LABEL = 4;
const IN_VALUE = 8;
const DIGIT = 16;

/** One byte, its possible roles. */
const roles = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  const one = String.fromCharCode(byte);
  if (/[a-zA-Z_:]/.test(one)) roles[byte] = NAME_START;
  if (/[a-zA-Z0-9_:]/.test(one)) roles[byte] = (roles[byte] ?? 0) | NAME;
  if (/[a-zA-Z0-9_]/.test(one)) roles[byte] = (roles[byte] ?? 0) | LABEL;
  if (byte !== QUOTE && byte !== BACKSLASH && byte !== LF) roles[byte] = (roles[byte] ?? 0) | IN_VALUE;
  if (byte >= 48 && byte <= 57) roles[byte] = (roles[byte] ?? 0) | DIGIT;
}
const role = (bytes: Uint8Array, at: number): number => roles[bytes[at] as number] as number;

/** More labels than this in one line are left to the slow parser. */
const MOST_LABELS = 64;

/**
 * The fast look at one sample line. `scan` is true for the plain form that almost every line has:
 * `name{label="value",…} number` with an optional number behind it as time stamp, single spaces, no repeated label.
 * Everything else (quoted names, exemplars, odd spacing, odd numbers, mistakes) is for line-parse.ts.
 * About 0.7 ms a MB; the fields hold the places found in the last line.
 */
export class LineScan {
  nameEnd = 0;
  /** The byte after "{", and the "}" itself; both `nameEnd` when there are no braces. */
  labelsStart = 0;
  labelsEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  /** The time stamp's first byte, or 0. */
  timeStart = 0;
  /** The line feed. */
  end = 0;
  /** `{a="b",}`: the text format allows it, OpenMetrics does not. */
  trailingComma = false;
  /** A label name that begins with "__", which OpenMetrics reserves. */
  reserved = false;
  /** The pair of the label `le` or `quantile` (never both): its first byte, its value, the byte behind it; or 0. */
  pair: "" | "le" | "quantile" = "";
  pairStart = 0;
  pairValue = 0;
  pairEnd = 0;
  readonly #hashes = new Int32Array(MOST_LABELS);

  /** `bytes` holds a line feed somewhere behind `at`. */
  scan(bytes: Uint8Array, at: number): boolean {
    if ((role(bytes, at) & NAME_START) === 0) return false;
    let i = at + 1;
    while ((role(bytes, i) & NAME) !== 0) i++;
    this.nameEnd = i;
    this.labelsStart = i;
    this.labelsEnd = i;
    this.pair = "";
    this.pairStart = 0;
    this.trailingComma = false;
    this.reserved = false;
    if (bytes[i] === OPEN) {
      i = this.#labels(bytes, i + 1);
      if (i === 0) return false;
    }
    return bytes[i] === SPACE && this.#tail(bytes, i + 1);
  }

  /** The labels from behind "{"; the place behind "}", or 0 when they are not in the plain form. */
  #labels(bytes: Uint8Array, start: number): number {
    this.labelsStart = start;
    let i = start;
    for (let count = 0; bytes[i] !== CLOSE; count++) {
      const name = i;
      let hash = 0;
      for (; (role(bytes, i) & LABEL) !== 0; i++) hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0;
      if (i === name || (role(bytes, name) & DIGIT) !== 0 || bytes[i] !== EQUALS || bytes[i + 1] !== QUOTE) return 0;
      if (bytes[name] === 95 && bytes[name + 1] === 95) this.reserved = true;
      if (count === MOST_LABELS || this.#repeated(hash, count)) return 0;
      i += 2;
      const value = i;
      for (;;) {
        while ((role(bytes, i) & IN_VALUE) !== 0) i++;
        if (bytes[i] !== BACKSLASH) break;
        const escaped = bytes[i + 1];
        if (escaped !== BACKSLASH && escaped !== QUOTE && escaped !== 110) return 0;
        i += 2;
      }
      if (bytes[i] !== QUOTE) return 0;
      i++;
      if ((hash === LE && value - name === 4) || (hash === QUANTILE && value - name === 10)) {
        if (this.pair !== "") return 0;
        this.pair = hash === LE ? "le" : "quantile";
        this.pairStart = name;
        this.pairValue = value;
        this.pairEnd = i;
      }
      if (bytes[i] === COMMA) {
        i++;
        if (bytes[i] === CLOSE) this.trailingComma = true;
      } else if (bytes[i] !== CLOSE) return 0;
    }
    this.labelsEnd = i;
    return i + 1;
  }

  /** Equal hashes are left to the slow parser, which compares the names. */
  #repeated(hash: number, count: number): boolean {
    for (let i = 0; i < count; i++) if (this.#hashes[i] === hash) return true;
    this.#hashes[count] = hash;
    return false;
  }

  /** Value, time stamp, line feed. */
  #tail(bytes: Uint8Array, start: number): boolean {
    this.valueStart = start;
    let i = numberEnd(bytes, start);
    if (i === 0) return false;
    this.valueEnd = i;
    this.timeStart = 0;
    if (bytes[i] === SPACE) {
      this.timeStart = i + 1;
      i = timeEnd(bytes, i + 1);
      if (i === 0) return false;
    }
    this.end = i;
    return bytes[i] === LF;
  }
}

const hashOf = (name: string): number => {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0;
  return hash;
};
const LE = hashOf("le");
const QUANTILE = hashOf("quantile");

/**
 * The place behind a number, or 0: digits, a fraction, an exponent of at most two digits (so that nothing overflows),
 * or NaN, +Inf, -Inf as they are usually written.
 */
export function numberEnd(bytes: Uint8Array, start: number): number {
  let i = start;
  const sign = bytes[i];
  if (sign === 43 || sign === 45) i++;
  if (bytes[i] === 78) return sign === 78 && bytes[i + 1] === 97 && bytes[i + 2] === 78 ? i + 3 : 0;
  if (bytes[i] === 73) return i > start && bytes[i + 1] === 110 && bytes[i + 2] === 102 ? i + 3 : 0;
  const whole = i;
  while ((role(bytes, i) & DIGIT) !== 0) i++;
  if (i === whole) return 0;
  if (bytes[i] === 46) {
    const fraction = ++i;
    while ((role(bytes, i) & DIGIT) !== 0) i++;
    if (i === fraction) return 0;
  }
  if (i - start > 40) return 0;
  if (bytes[i] !== 101 && bytes[i] !== 69) return i;
  i++;
  if (bytes[i] === 43 || bytes[i] === 45) i++;
  const exponent = i;
  while ((role(bytes, i) & DIGIT) !== 0) i++;
  return i === exponent || i - exponent > 2 ? 0 : i;
}

/** The place behind a time stamp (digits, or digits with a fraction in OpenMetrics), or 0. */
function timeEnd(bytes: Uint8Array, start: number): number {
  let i = start;
  if (bytes[i] === 45) i++;
  const whole = i;
  while ((role(bytes, i) & DIGIT) !== 0) i++;
  if (i === whole || i - whole > 15) return 0;
  if (bytes[i] !== 46) return i;
  const fraction = ++i;
  while ((role(bytes, i) & DIGIT) !== 0) i++;
  return i === fraction || i - fraction > 9 ? 0 : i;
}

/** The number that stands in these bytes; they passed `numberEnd`. */
export function numberIn(bytes: Uint8Array, start: number, end: number): number {
  if (end - start <= 15) {
    let value = 0;
    let i = start;
    for (; i < end && (role(bytes, i) & DIGIT) !== 0; i++) value = value * 10 + (bytes[i] as number) - 48;
    if (i === end) return value;
  }
  return parseNumber(String.fromCharCode(...bytes.subarray(start, end))) ?? Number.NaN;
}

/** A number as both forms may spell it; undefined when it is none or too large for a double (a strict reader's error). */
export function parseNumber(text: string): number | undefined {
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) {
    const value = Number(text);
    return Number.isFinite(value) ? value : undefined;
  }
  if (/^[+-]?nan$/i.test(text)) return Number.NaN;
  if (/^\+?inf(inity)?$/i.test(text)) return Number.POSITIVE_INFINITY;
  return /^-inf(inity)?$/i.test(text) ? Number.NEGATIVE_INFINITY : undefined;
}
