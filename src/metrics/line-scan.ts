import { BACKSLASH, CLOSE, COMMA, EQUALS, LF, OPEN, QUOTE, SPACE } from "./exposition.ts";
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

const noPrefix = new Uint8Array(0);
/** More labels than this in one line are left to the slow parser. */
const MOST_LABELS = 64;

/**
 * The fast look at one sample line. `scan` is true for the plain form that almost every line has:
 * `name{label="value",…} number` with an optional number behind it as time stamp, single spaces, no repeated label.
 * Everything else (quoted names, exemplars, odd spacing, odd numbers, mistakes) is for line-parse.ts.
 *
 * Lines of a page are much alike: the next one differs from the one before in some label's value and in the number. So
 * each is compared with the one before, and looked at only where they differ. The fields hold the places found in the last line.
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
  /** Where the line before began, when this one has the same name and prefix; else -1. */
  twin = -1;
  /** The twin has the same labels, but for the value of the pair, which is the last one. */
  sameGroup = false;

  #view: DataView = new DataView(new ArrayBuffer(0));
  #length = 0;
  /** Where the line before began; -1 when it is not one to compare with. */
  #before = -1;
  #prefix: Uint8Array = noPrefix;
  /** A label value with an escape: it must be read from its beginning. */
  #escaped = false;
  #labelCount = 0;
  #pairLabel = -1;
  /** Of each label: length, first and last byte of the name in one number. */
  readonly #shapes = new Int32Array(MOST_LABELS);
  /** Of each label, counted from the line's first byte: its name, its value, its closing quote. */
  readonly #names = new Int32Array(MOST_LABELS);
  readonly #values = new Int32Array(MOST_LABELS);
  readonly #quotes = new Int32Array(MOST_LABELS);

  /** Before the lines in these bytes are scanned: those that were there before are forgotten. */
  begin(bytes: Uint8Array): void {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#length = bytes.byteLength;
    this.#before = -1;
  }

  /**
   * `bytes`: those of `begin`, with a line feed somewhere behind `at`; `prefix`: the name that is likely (it is a right
   * one, or empty).
   */
  scan(bytes: Uint8Array, at: number, prefix: Uint8Array): boolean {
    const before = this.#before;
    this.#before = -1;
    this.twin = -1;
    this.sameGroup = false;
    let i = before >= 0 && prefix === this.#prefix ? this.#likeBefore(bytes, at, before) : 0;
    if (i === 0) i = this.#fromStart(bytes, at, prefix);
    if (i === 0 || bytes[i] !== SPACE || !this.#tail(bytes, i + 1)) return false;
    const comparable = this.#labelCount > 0 && !this.trailingComma && !this.reserved && !this.#escaped;
    if (comparable) this.#before = at;
    return true;
  }

  /** The name that was just found begins with `prefix`, which is the likely one from now on. */
  adopt(prefix: Uint8Array): void {
    this.#prefix = prefix;
    this.prefixed = true;
  }

  /** No time stamp, no trailing comma, no reserved label: nothing that one of the forms could object to. */
  get bare(): boolean {
    return this.timeStart === 0 && !this.trailingComma && !this.reserved;
  }

  /** The place behind the name and the labels, or 0. */
  #fromStart(bytes: Uint8Array, at: number, prefix: Uint8Array): number {
    let i = at;
    const length = prefix.length;
    let same = 0;
    while (same < length && bytes[i] === prefix[same]) {
      same++;
      i++;
    }
    this.prefixed = same === length;
    this.#prefix = prefix;
    if (i === at && (role(bytes, i) & NAME_START) === 0) return 0;
    while ((role(bytes, i) & NAME) !== 0) i++;
    this.nameEnd = i;
    this.labelsStart = i;
    this.labelsEnd = i;
    this.#noPair();
    this.trailingComma = false;
    this.reserved = false;
    this.#escaped = false;
    this.#labelCount = 0;
    if (bytes[i] !== OPEN) return i;
    this.labelsStart = i + 1;
    return this.#labels(bytes, at, i + 1, 0);
  }

  /** The same, from what is known of the line before; 0 when they have too little in common, or the rest is odd. */
  #likeBefore(bytes: Uint8Array, at: number, before: number): number {
    const [values, quotes] = [this.#values, this.#quotes];
    const last = this.#labelCount - 1;
    let same = this.#same(before, at, this.end - before);
    let label = last;
    while (label >= 0 && (values[label] as number) > same) label--;
    if (label < 0) return 0;
    this.nameEnd += at - before;
    this.labelsStart += at - before;
    const first = label;
    let i = at + Math.min(same, quotes[label] as number);
    for (;;) {
      // Here the value of a label goes on, which may differ. Behind it the lines may be the same again.
      const quote = quotes[label] as number;
      i = this.#value(bytes, at, i, label);
      if (i === 0) return 0;
      const now = quotes[label] as number;
      if (label < last) same = this.#same(before + quote, at + now, this.end - before - quote);
      let next = last;
      while (next > label && (values[next] as number) - quote > same) next--;
      if (next === label) break;
      i = at + now + Math.min(same, (quotes[next] as number) - quote);
      this.#move(label + 1, next, now - quote);
      label = next;
    }
    if (this.#pairLabel > label) this.#noPair();
    i = this.#labels(bytes, at, i, label + 1);
    if (i === 0) return 0;
    this.twin = before;
    this.sameGroup = first === last && this.#pairLabel === last && this.#labelCount === last + 1;
    return i;
  }

  /** Labels that stand elsewhere in the line now; the closing quote of the last one is yet to be found. */
  #move(from: number, to: number, by: number): void {
    if (by === 0) return;
    for (let label = from; label <= to; label++) {
      this.#names[label] = (this.#names[label] as number) + by;
      this.#values[label] = (this.#values[label] as number) + by;
      if (label < to) this.#quotes[label] = (this.#quotes[label] as number) + by;
    }
  }

  /** How many bytes (of at most `most`) are the same at both places. */
  #same(a: number, b: number, most: number): number {
    const view = this.#view;
    const end = Math.min(most, this.#length - b);
    let same = 0;
    // Eight at a time, as numbers that only look like ones: those that are not equal to themselves stop it early, and
    // the two zeros can't be mistaken for each other, as there are no NUL bytes here.
    while (same + 8 <= end && view.getFloat64(a + same, true) === view.getFloat64(b + same, true)) same += 8;
    while (same < end && view.getUint8(a + same) === view.getUint8(b + same)) same++;
    return same;
  }

  /**
   * The labels from `start` on, when so many are `known`. The place behind "}", or 0 when they are not in the plain
   * form.
   */
  #labels(bytes: Uint8Array, at: number, start: number, known: number): number {
    let count = known;
    let i = start;
    while (bytes[i] !== CLOSE) {
      const name = i;
      while ((role(bytes, i) & LABEL) !== 0) i++;
      if (i === name || (role(bytes, name) & DIGIT) !== 0 || bytes[i] !== EQUALS || bytes[i + 1] !== QUOTE) return 0;
      if (count === MOST_LABELS || !this.#newLabel(bytes, at, name, i, count)) return 0;
      if (i - name <= QUANTILE.length && !this.#notePair(bytes, name, i, count)) return 0;
      this.#values[count] = i + 2 - at;
      i = this.#value(bytes, at, i + 2, count);
      if (i === 0) return 0;
      count++;
    }
    this.#labelCount = count;
    this.labelsEnd = i;
    if (this.#pairLabel >= 0) this.#placePair(at, this.#pairLabel);
    return i + 1;
  }

  /** From within a label's value: the place behind it and its comma, or 0. */
  #value(bytes: Uint8Array, at: number, start: number, label: number): number {
    let i = ordinary(this.#view, start, this.#length - 3);
    for (;;) {
      while ((role(bytes, i) & IN_VALUE) !== 0) i++;
      if (bytes[i] === QUOTE) break;
      if (bytes[i] !== BACKSLASH) return 0;
      const escaped = bytes[i + 1];
      if (escaped !== BACKSLASH && escaped !== QUOTE && escaped !== 110) return 0;
      this.#escaped = true;
      i += 2;
    }
    this.#quotes[label] = i - at;
    i++;
    if (bytes[i] === COMMA) {
      i++;
      if (bytes[i] === CLOSE) this.trailingComma = true;
    } else if (bytes[i] !== CLOSE) return 0;
    return i;
  }

  /** False for a name that may be there already: names of one shape are left to the slow parser if they are equal. */
  #newLabel(bytes: Uint8Array, at: number, name: number, end: number, count: number): boolean {
    const first = bytes[name] as number;
    if (first === UNDERSCORE && bytes[name + 1] === UNDERSCORE) {
      // The metric's name in another place: the slow parser says what is wrong with that.
      if (end - name === METRIC_NAME.length && sameBytes(bytes, name, METRIC_NAME, 0, METRIC_NAME.length)) return false;
      this.reserved = true;
    }
    const shape = ((end - name) << 16) | (first << 8) | (bytes[end - 1] as number);
    const shapes = this.#shapes;
    for (let i = 0; i < count; i++) {
      if (shapes[i] === shape && sameBytes(bytes, name, bytes, at + (this.#names[i] as number), end - name))
        return false;
    }
    shapes[count] = shape;
    this.#names[count] = name - at;
    return true;
  }

  /** Remembers `le` and `quantile`; false when both are there. */
  #notePair(bytes: Uint8Array, name: number, end: number, label: number): boolean {
    const word = end - name === LE.length ? LE : end - name === QUANTILE.length ? QUANTILE : undefined;
    if (word === undefined || !sameBytes(bytes, name, word, 0, word.length)) return true;
    if (this.pair !== "") return false;
    this.pair = word === LE ? "le" : "quantile";
    this.#pairLabel = label;
    return true;
  }

  #placePair(at: number, label: number): void {
    this.pairStart = at + (this.#names[label] as number);
    this.pairValue = at + (this.#values[label] as number);
    this.pairEnd = at + (this.#quotes[label] as number) + 1;
  }

  #noPair(): void {
    this.pair = "";
    this.#pairLabel = -1;
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
