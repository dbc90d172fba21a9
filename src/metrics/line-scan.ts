import { exemplarEnd } from "./exemplar-scan.ts";
import { BACKSLASH, CLOSE, COMMA, EQUALS, HASH, LF, OPEN, QUOTE, SPACE } from "./exposition.ts";
import { numberEnd, timeEnd } from "./numbers.ts";

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
 * `name{label="value",…} number` with an optional number behind it as time stamp and an optional exemplar, single
 * spaces, no repeated label. Everything else (quoted names, odd spacing, odd numbers, mistakes) is for line-parse.ts. The fields hold
 * the places found in the last line. Of a run of lines that are alike only the first is looked at here; see line-runs/.
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
  /** Whether there is an exemplar. */
  exemplar = false;
  /** The byte behind value and time stamp: the line feed, or the space before the exemplar. */
  numbersEnd = 0;
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

  #view: DataView = new DataView(new ArrayBuffer(0));
  #length = 0;
  #labelCount = 0;
  /** Of each label: length, first and last byte of the name in one number; its first byte. */
  readonly #shapes = new Int32Array(MOST_LABELS);
  readonly #names = new Int32Array(MOST_LABELS);

  /** Before the lines in these bytes are scanned. */
  begin(bytes: Uint8Array): void {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#length = bytes.byteLength;
  }

  /**
   * `bytes`: those of `begin`, with a line feed somewhere behind `at`; `prefix`: the name that is likely (it is a right
   * one, or empty).
   */
  scan(bytes: Uint8Array, at: number, prefix: Uint8Array): boolean {
    const i = this.#head(bytes, at, prefix);
    return i !== 0 && bytes[i] === SPACE && this.#tail(bytes, i + 1);
  }

  /** No time stamp, no exemplar, no trailing comma, no reserved label: nothing that one of the forms could object to. */
  get bare(): boolean {
    return this.timeStart === 0 && !this.exemplar && !this.trailingComma && !this.reserved;
  }

  /** The place behind the name and the labels, or 0. */
  #head(bytes: Uint8Array, at: number, prefix: Uint8Array): number {
    let i = at;
    const length = prefix.length;
    let same = 0;
    while (same < length && bytes[i] === prefix[same]) {
      same++;
      i++;
    }
    this.prefixed = same === length;
    if (i === at && (role(bytes, i) & NAME_START) === 0) return 0;
    while ((role(bytes, i) & NAME) !== 0) i++;
    this.nameEnd = i;
    this.labelsStart = i;
    this.labelsEnd = i;
    this.pair = "";
    this.trailingComma = false;
    this.reserved = false;
    this.#labelCount = 0;
    return bytes[i] === OPEN ? this.#labels(bytes, i + 1) : i;
  }

  /** The place behind "}", or 0 when the labels from `start` on are not in the plain form. */
  #labels(bytes: Uint8Array, start: number): number {
    this.labelsStart = start;
    let i = start;
    while (bytes[i] !== CLOSE) {
      const name = i;
      while ((role(bytes, i) & LABEL) !== 0) i++;
      if (i === name || (role(bytes, name) & DIGIT) !== 0 || bytes[i] !== EQUALS || bytes[i + 1] !== QUOTE) return 0;
      if (!this.#newLabel(bytes, name, i)) return 0;
      const quote = this.#valueEnd(bytes, i + 2);
      if (quote === 0 || !this.#notePair(bytes, name, i, quote)) return 0;
      i = quote + 1;
      if (bytes[i] === COMMA) {
        i++;
        if (bytes[i] === CLOSE) this.trailingComma = true;
      } else if (bytes[i] !== CLOSE) return 0;
    }
    this.labelsEnd = i;
    return i + 1;
  }

  /** The closing quote of a label's value, or 0. */
  #valueEnd(bytes: Uint8Array, start: number): number {
    let i = ordinary(this.#view, start, this.#length - 3);
    for (;;) {
      while ((role(bytes, i) & IN_VALUE) !== 0) i++;
      if (bytes[i] === QUOTE) return i;
      if (bytes[i] !== BACKSLASH) return 0;
      const escaped = bytes[i + 1];
      if (escaped !== BACKSLASH && escaped !== QUOTE && escaped !== 110) return 0;
      i += 2;
    }
  }

  /** False for a name that may be there already: names of one shape are left to the slow parser if they are equal. */
  #newLabel(bytes: Uint8Array, name: number, end: number): boolean {
    const count = this.#labelCount;
    if (count === MOST_LABELS) return false;
    const first = bytes[name] as number;
    if (first === UNDERSCORE && bytes[name + 1] === UNDERSCORE) {
      // The metric's name in another place: the slow parser says what is wrong with that.
      if (end - name === METRIC_NAME.length && sameBytes(bytes, name, METRIC_NAME, 0, METRIC_NAME.length)) return false;
      this.reserved = true;
    }
    const shape = ((end - name) << 16) | (first << 8) | (bytes[end - 1] as number);
    for (let i = 0; i < count; i++) {
      if (this.#shapes[i] === shape && sameBytes(bytes, name, bytes, this.#names[i] as number, end - name))
        return false;
    }
    this.#shapes[count] = shape;
    this.#names[count] = name;
    this.#labelCount = count + 1;
    return true;
  }

  /** Remembers where `le` or `quantile` stands; false when both are there. */
  #notePair(bytes: Uint8Array, name: number, end: number, quote: number): boolean {
    const word = end - name === LE.length ? LE : end - name === QUANTILE.length ? QUANTILE : undefined;
    if (word === undefined || !sameBytes(bytes, name, word, 0, word.length)) return true;
    if (this.pair !== "") return false;
    this.pair = word === LE ? "le" : "quantile";
    this.pairStart = name;
    this.pairValue = end + 2;
    this.pairEnd = quote + 1;
    return true;
  }

  /** Value, time stamp, exemplar, line feed. */
  #tail(bytes: Uint8Array, start: number): boolean {
    this.valueStart = start;
    let i = numberEnd(bytes, start);
    if (i === 0) return false;
    this.valueEnd = i;
    this.timeStart = 0;
    this.exemplar = false;
    if (bytes[i] === SPACE && bytes[i + 1] !== HASH) {
      this.timeStart = i + 1;
      i = timeEnd(bytes, i + 1);
      if (i === 0) return false;
    }
    this.numbersEnd = i;
    if (bytes[i] === SPACE) {
      this.exemplar = true;
      i = exemplarEnd(bytes, i);
    }
    this.end = i;
    return bytes[i] === LF;
  }
}

/** The place behind the plain metric name that begins at `start`; `start` when there is none. */
export function plainNameEnd(bytes: Uint8Array, start: number): number {
  if ((role(bytes, start) & NAME_START) === 0) return start;
  let i = start + 1;
  while ((role(bytes, i) & NAME) !== 0) i++;
  return i;
}

/**
 * A place at or behind `start` up to which there is no quote, backslash or line feed; four bytes at a time, by the
 * borrow that runs through a zero byte.
 */
function ordinary(view: DataView, start: number, end: number): number {
  let i = start;
  while (i < end) {
    const four = view.getInt32(i, true);
    const quote = four ^ 0x22222222;
    const backslash = four ^ 0x5c5c5c5c;
    const feed = four ^ 0x0a0a0a0a;
    const zero =
      ((quote - 0x01010101) & ~quote) | ((backslash - 0x01010101) & ~backslash) | ((feed - 0x01010101) & ~feed);
    if ((zero & 0x80808080) !== 0) break;
    i += 4;
  }
  return i;
}

function sameBytes(a: Uint8Array, at: number, b: Uint8Array, from: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[at + i] !== b[from + i]) return false;
  return true;
}

const UNDERSCORE = 95;
const LE = Buffer.from("le");
const QUANTILE = Buffer.from("quantile");
const METRIC_NAME = Buffer.from("__name__");
