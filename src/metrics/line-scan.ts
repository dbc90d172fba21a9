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
  /** Whether the name began with the prefix that was given. */
  prefixed = false;
  /** Of each label name so far: length, first and last byte in one number; and where it stands. */
  readonly #shapes = new Int32Array(MOST_LABELS);
  readonly #places = new Int32Array(MOST_LABELS);

  /** `bytes` holds a line feed somewhere behind `at`; `prefix`: the name that is likely (it is a right one, or empty). */
  scan(bytes: Uint8Array, at: number, prefix: Uint8Array): boolean {
    let i = at;
    const length = prefix.length;
    let same = 0;
    while (same < length && bytes[i] === prefix[same]) {
      same++;
      i++;
    }
    this.prefixed = same === length;
    if (i === at && (role(bytes, i) & NAME_START) === 0) return false;
    while ((role(bytes, i) & NAME) !== 0) i++;
    this.nameEnd = i;
    this.labelsStart = i;
    this.labelsEnd = i;
    this.pair = "";
    this.trailingComma = false;
    this.reserved = false;
    if (bytes[i] === OPEN) {
      i = this.#labels(bytes, i + 1);
      if (i === 0) return false;
    }
    return bytes[i] === SPACE && this.#tail(bytes, i + 1);
  }

  /** No time stamp, no trailing comma, no reserved label: nothing that one of the forms could object to. */
  get bare(): boolean {
    return this.timeStart === 0 && !this.trailingComma && !this.reserved;
  }

  /** The labels from behind "{"; the place behind "}", or 0 when they are not in the plain form. */
  #labels(bytes: Uint8Array, start: number): number {
    this.labelsStart = start;
    let i = start;
    for (let count = 0; bytes[i] !== CLOSE; count++) {
      const name = i;
      while ((role(bytes, i) & LABEL) !== 0) i++;
      if (i === name || (role(bytes, name) & DIGIT) !== 0 || bytes[i] !== EQUALS || bytes[i + 1] !== QUOTE) return 0;
      if (count === MOST_LABELS || !this.#newLabel(bytes, name, i, count)) return 0;
      const value = i + 2;
      i = valueEnd(bytes, value);
      if (i === 0) return 0;
      if (value - name <= 10 && !this.#notePair(bytes, name, value, i)) return 0;
      if (bytes[i] === COMMA) {
        i++;
        if (bytes[i] === CLOSE) this.trailingComma = true;
      } else if (bytes[i] !== CLOSE) return 0;
    }
    this.labelsEnd = i;
    return i + 1;
  }

  /** False for a name that may be there already: names of one shape are left to the slow parser if they are equal. */
  #newLabel(bytes: Uint8Array, name: number, end: number, count: number): boolean {
    const first = bytes[name] as number;
    if (first === UNDERSCORE && bytes[name + 1] === UNDERSCORE) this.reserved = true;
    const shape = ((end - name) << 16) | (first << 8) | (bytes[end - 1] as number);
    const shapes = this.#shapes;
    for (let i = 0; i < count; i++) {
      if (shapes[i] === shape && sameBytes(bytes, name, this.#places[i] as number, end - name)) return false;
    }
    shapes[count] = shape;
    this.#places[count] = name;
    return true;
  }

  /** Remembers `le` and `quantile`; false when both are there. */
  #notePair(bytes: Uint8Array, name: number, value: number, end: number): boolean {
    const word = value - name === 4 ? LE : value - name === 10 ? QUANTILE : undefined;
    if (word === undefined) return true;
    for (let i = 0; i < word.length; i++) if (word[i] !== bytes[name + i]) return true;
    if (this.pair !== "") return false;
    this.pair = word === LE ? "le" : "quantile";
    this.pairStart = name;
    this.pairValue = value;
    this.pairEnd = end;
    return true;
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

/** The place behind the closing quote of a label value, or 0 when it is not in the plain form. */
function valueEnd(bytes: Uint8Array, start: number): number {
  let i = start;
  for (;;) {
    while ((role(bytes, i) & IN_VALUE) !== 0) i++;
    if (bytes[i] === QUOTE) return i + 1;
    if (bytes[i] !== BACKSLASH) return 0;
    const escaped = bytes[i + 1];
    if (escaped !== BACKSLASH && escaped !== QUOTE && escaped !== 110) return 0;
    i += 2;
  }
}

function sameBytes(bytes: Uint8Array, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[a + i] !== bytes[b + i]) return false;
  return true;
}

const UNDERSCORE = 95;
const LE = Buffer.from("le");
const QUANTILE = Buffer.from("quantile");

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
