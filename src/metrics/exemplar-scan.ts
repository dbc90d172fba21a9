import { BACKSLASH, CLOSE, COMMA, EQUALS, HASH, LF, OPEN, QUOTE, SPACE } from "./exposition.ts";
import { numberEnd, timeEnd } from "./numbers.ts";

/** OpenMetrics 1.0.0: "the combined length of the label names and values", in characters, of which none is less than a byte. */
const LONGEST = 128;
/** More labels are left to the patient reader. */
const MOST_LABELS = 4;
const names = new Int32Array(MOST_LABELS);
/** Of the last label that was read: bytes of its name and its value. */
let length = 0;

/**
 * The fast look at an exemplar, which begins at `start` with the space before its `#`: the place behind it when it is in
 * the form that we write and keeps all rules, else 0.
 */
export function exemplarEnd(bytes: Uint8Array, start: number): number {
  if (bytes[start + 1] !== HASH || bytes[start + 2] !== SPACE || bytes[start + 3] !== OPEN) return 0;
  const labels = labelsEnd(bytes, start + 4);
  if (labels === 0 || bytes[labels] !== SPACE) return 0;
  const value = numberEnd(bytes, labels + 1);
  return value !== 0 && bytes[value] === SPACE ? timeEnd(bytes, value + 1) : value;
}

/** The place behind "}", or 0. */
function labelsEnd(bytes: Uint8Array, start: number): number {
  let total = 0;
  let at = start;
  for (let count = 0; bytes[at] !== CLOSE; count++) {
    const end = count < MOST_LABELS ? pairEnd(bytes, at, count) : 0;
    total += length;
    if (end === 0 || total > LONGEST) return 0;
    at = end;
    if (bytes[at] === COMMA) {
      if (bytes[++at] === CLOSE) return 0;
    } else if (bytes[at] !== CLOSE) return 0;
  }
  return at + 1;
}

/** The place behind `name="value"`, or 0: also for a reserved name, and one that is among the `count` before it. */
function pairEnd(bytes: Uint8Array, name: number, count: number): number {
  let at = name;
  while (isLabelByte(bytes[at] as number)) at++;
  if (at === name || isDigit(bytes[name] as number) || bytes[at] !== EQUALS || bytes[at + 1] !== QUOTE) return 0;
  if (bytes[name] === UNDERSCORE && bytes[name + 1] === UNDERSCORE) return 0;
  for (let i = 0; i < count; i++) if (isSame(bytes, names[i] as number, name, at + 1)) return 0;
  names[count] = name;
  const value = at + 2;
  let end = value;
  while (bytes[end] !== QUOTE) if (bytes[end] === BACKSLASH || bytes[end++] === LF) return 0;
  length = at - name + end - value;
  return end + 1;
}

/** Whether the same stands at `one` as from `start` to `end`. */
function isSame(bytes: Uint8Array, one: number, start: number, end: number): boolean {
  for (let i = 0; start + i < end; i++) if (bytes[one + i] !== bytes[start + i]) return false;
  return true;
}

const UNDERSCORE = 95;
const isDigit = (byte: number): boolean => byte >= 48 && byte <= 57;
const isLabelByte = (byte: number): boolean => {
  const lower = byte | 32;
  return (lower >= 97 && lower <= 122) || isDigit(byte) || byte === UNDERSCORE;
};
