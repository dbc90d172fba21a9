// Envoy's page as protobuf (delimited io.prometheus.client.MetricFamily messages), turned into the lines that its text
// page has. Envoy needs a fifth less time for it, and sends a third of the bytes.

import { BACKSLASH, CLOSE, COMMA, EQUALS, LF, OPEN, oddBytes, QUOTE, SPACE } from "./bytes";
import { format } from "./format";

/** Places behind the room; see line-room.ts. */
const AREA: usize = 19 * 65536;
const NAME: usize = AREA;
const LONGEST_NAME: i32 = 1024;
/** Bounds of buckets with their text, by their place among the buckets: the next histogram has the same. */
const BOUNDS: usize = AREA + 1024;
const MOST_BOUNDS: i32 = 128;
const BOUND: usize = 64;
/** Words that line-room.ts puts there, 16 bytes each, of which the last is the length. Types as they are numbered. */
const WORDS: usize = AREA + 12288;
const TYPE_WORD: i32 = 5;
const BUCKET_WORD: i32 = 6;
const SUM_WORD: i32 = 7;
const COUNT_WORD: i32 = 8;
const LE_WORD: i32 = 9;
const QUANTILE_WORD: i32 = 10;
const NO_WORD: i32 = 11;
const LABELS: usize = AREA + 16384;
const LONGEST_LABELS: usize = 49152 - 64;

/** How a call ended: it needs more to read, more place to write, or can't make sense of what it read. */
const MORE: i32 = 0;
const FULL: i32 = 1;
const WRONG: i32 = 2;
const OUT: usize = 16;
const STATUS: usize = 20;

const COUNTER: i32 = 0;
const SUMMARY: i32 = 2;
const HISTOGRAM: i32 = 4;

/** Of the family that is being read: what is left of it, its type and name, whether its comment is written. */
let left: u64 = 0;
let type: i32 = 0;
let nameLength: i32 = 0;
let headed: bool = false;
let status: i32 = 0;

/** What the last number that was read is, and the place behind it. */
let number: u64 = 0;

/** The place behind the number, or 0 when it is not all there; WRONG when it is none. */
function varint(start: usize, end: usize): usize {
  let at = start;
  let shift: u64 = 0;
  number = 0;
  while (at < end) {
    const byte = load<u8>(at++);
    number |= (<u64>(byte & 127)) << shift;
    if (byte < 128) return at;
    shift += 7;
    if (shift > 63) {
      status = WRONG;
      return 0;
    }
  }
  return 0;
}

/** The place behind a field's value, or 0; of one with a length, its first byte is in `body`. */
let field: i32 = 0;
let body: usize = 0;
function fieldEnd(start: usize, end: usize): usize {
  const behind = varint(start, end);
  if (behind === 0) return 0;
  const wire = <i32>number & 7;
  field = <i32>(number >> 3);
  body = behind;
  if (wire === 0) return varint(behind, end);
  if (wire === 1) return behind + 8 > end ? 0 : behind + 8;
  if (wire === 5) return behind + 4 > end ? 0 : behind + 4;
  if (wire !== 2) {
    status = WRONG;
    return 0;
  }
  body = varint(behind, end);
  if (body === 0 || number > <u64>(end - body)) return 0;
  return body + <usize>number;
}

/** Up to fifteen bytes more than `length` are written. */
function copy(from: usize, length: i32, to: usize): usize {
  for (let i = 0; i < length; i += 16) v128.store(to + i, v128.load(from + i));
  return to + length;
}

function word(index: i32, to: usize): usize {
  const place = WORDS + <usize>index * 16;
  return copy(place, load<u8>(place + 15), to);
}

function byte(value: i32, to: usize): usize {
  store<u8>(to, <u8>value);
  return to + 1;
}

/** A label's value as both forms escape it, or 0 when there is no place. */
function escaped(from: usize, length: i32, to: usize): usize {
  if (to + 2 * <usize>length > LABELS + LONGEST_LABELS) return 0;
  for (let i = 0; i < length; i += 16) {
    const left = length - i;
    const odd = oddBytes(from + i);
    if (odd !== 0 && ctz(odd) < left) return escapedSlowly(from + i, left, to + i);
    v128.store(to + i, v128.load(from + i));
  }
  return to + length;
}

function escapedSlowly(from: usize, length: i32, to: usize): usize {
  let at = to;
  for (let i = 0; i < length; i++) {
    const one = <i32>load<u8>(from + i);
    if (one === QUOTE || one === BACKSLASH || one === LF) {
      at = byte(BACKSLASH, at);
      at = byte(one === LF ? 110 : one, at);
    } else at = byte(one, at);
  }
  return at;
}

/** One label behind those that are there, or 0. */
function label(start: usize, end: usize, to: usize): usize {
  let at = start;
  let out = to === LABELS ? to : byte(COMMA, to);
  let name: usize = 0;
  let nameEnd: usize = 0;
  let value: usize = 0;
  let valueEnd: usize = 0;
  while (at < end) {
    const behind = fieldEnd(at, end);
    if (behind === 0) return 0;
    if (field === 1) {
      name = body;
      nameEnd = behind;
    } else if (field === 2) {
      value = body;
      valueEnd = behind;
    }
    at = behind;
  }
  if (out + (nameEnd - name) + 64 > LABELS + LONGEST_LABELS) return 0;
  out = copy(name, <i32>(nameEnd - name), out);
  out = byte(QUOTE, byte(EQUALS, out));
  out = escaped(value, <i32>(valueEnd - value), out);
  return out === 0 ? 0 : byte(QUOTE, out);
}

function whole(value: u64, to: usize): usize {
  if (value < 10) return byte(48 + <i32>value, to);
  let digits: usize = 1;
  let rest = value;
  while (rest >= 10) {
    rest /= 10;
    digits++;
  }
  rest = value;
  for (let at = to + digits; at > to; rest /= 10) store<u8>(--at, <u8>(48 + <u32>(rest % 10)));
  return to + digits;
}

function float(value: f64, to: usize): usize {
  if (value >= 0 && value < 1e15 && value === Math.floor(value)) return whole(<u64>value, to);
  return to + format(value, to);
}

/** The name, its suffix, "{", the labels. */
function lineStart(suffix: i32, labelsLength: i32, to: usize): usize {
  return copy(LABELS, labelsLength, byte(OPEN, word(suffix, copy(NAME, nameLength, to))));
}

function endLabels(to: usize): usize {
  return byte(SPACE, byte(CLOSE, to));
}

/** The bound's text from the cache, filled when another one stood there. */
function boundText(index: i32, bound: f64, to: usize): usize {
  if (index >= MOST_BOUNDS) return to + format(bound, to);
  const place = BOUNDS + <usize>index * BOUND;
  if (load<f64>(place) !== bound || load<i32>(place + 8) === 0) {
    store<f64>(place, bound);
    store<i32>(place + 8, <i32>format(bound, place + 16));
  }
  return copy(place + 16, load<i32>(place + 8), to);
}

function bucketLine(index: i32, bound: f64, count: u64, labelsLength: i32, to: usize): usize {
  let out = lineStart(BUCKET_WORD, labelsLength, to);
  if (labelsLength > 0) out = byte(COMMA, out);
  out = byte(QUOTE, boundText(index, bound, word(LE_WORD, out)));
  return byte(LF, whole(count, endLabels(out)));
}

/** Of a bucket: its count and its bound. Of a quantile: itself and its value. */
let partCount: u64 = 0;
let partFirst: f64 = 0;
let partSecond: f64 = 0;

function readPart(start: usize, end: usize): bool {
  partCount = 0;
  partFirst = 0;
  partSecond = 0;
  for (let at = start; at < end; ) {
    const behind = fieldEnd(at, end);
    if (behind === 0) return false;
    if (field === 1) {
      partCount = number;
      partFirst = load<f64>(body);
    } else if (field === 2) partSecond = load<f64>(body);
    at = behind;
  }
  return true;
}

function quantileLine(labelsLength: i32, to: usize): usize {
  let out = lineStart(NO_WORD, labelsLength, to);
  if (labelsLength > 0) out = byte(COMMA, out);
  out = byte(QUOTE, float(partFirst, word(QUANTILE_WORD, out)));
  return byte(LF, float(partSecond, endLabels(out)));
}

/** The lines of a histogram or a summary, or 0. */
function grouped(start: usize, end: usize, labelsLength: i32, to: usize): usize {
  let out = to;
  let count: u64 = 0;
  let sum: f64 = 0;
  let parts: i32 = 0;
  const buckets = type === HISTOGRAM;
  for (let at = start; at < end; ) {
    const behind = fieldEnd(at, end);
    if (behind === 0) return 0;
    if (field === 1) count = number;
    else if (field === 2) sum = load<f64>(body);
    else if (field === 3) {
      if (!readPart(body, behind)) return 0;
      out = buckets ? bucketLine(parts++, partSecond, partCount, labelsLength, out) : quantileLine(labelsLength, out);
    }
    at = behind;
  }
  const open = parts === 0 || partSecond !== Infinity;
  if (buckets && open) out = bucketLine(MOST_BOUNDS, Infinity, count, labelsLength, out);
  return totals(sum, count, labelsLength, out);
}

function totals(sum: f64, count: u64, labelsLength: i32, to: usize): usize {
  const out = byte(LF, float(sum, endLabels(lineStart(SUM_WORD, labelsLength, to))));
  return byte(LF, whole(count, endLabels(lineStart(COUNT_WORD, labelsLength, out))));
}

/** A counter, a gauge, or what has no type: one line, or 0. */
function simple(start: usize, end: usize, labelsLength: i32, to: usize): usize {
  let value: f64 = 0;
  for (let at = start; at < end; ) {
    const behind = fieldEnd(at, end);
    if (behind === 0) return 0;
    if (field === 1) value = load<f64>(body);
    at = behind;
  }
  return byte(LF, float(value, endLabels(lineStart(NO_WORD, labelsLength, to))));
}

function heading(to: usize): usize {
  return byte(LF, word(type, byte(SPACE, copy(NAME, nameLength, word(TYPE_WORD, to)))));
}

/** The lines of one metric, or 0: what is wrong, or that there is no place, is in `status`. */
function metric(start: usize, end: usize, to: usize, outEnd: usize): usize {
  let labelsEnd = LABELS;
  let value: usize = 0;
  let valueEnd: usize = 0;
  for (let at = start; at < end; ) {
    const behind = fieldEnd(at, end);
    if (behind === 0) return wrong();
    if (field === 1) {
      labelsEnd = label(body, behind, labelsEnd);
      if (labelsEnd === 0) return wrong();
    } else if (field === 2 || field === 3 || field === 4 || field === 5 || field === 7) {
      value = body;
      valueEnd = behind;
    }
    at = behind;
  }
  const labelsLength = <i32>(labelsEnd - LABELS);
  // A bucket takes nine bytes at least where it comes from.
  const lines: usize = 4 + (valueEnd - value) / 9;
  if (to + lines * <usize>(nameLength + labelsLength + 128) > outEnd) {
    status = FULL;
    return 0;
  }
  let out = headed ? to : heading(to);
  if (type === HISTOGRAM || type === SUMMARY) out = grouped(value, valueEnd, labelsLength, out);
  else out = simple(value, valueEnd, labelsLength, out);
  if (out === 0) return wrong();
  headed = true;
  return out;
}

function wrong(): usize {
  status = WRONG;
  return 0;
}

/** Before a page is read. */
export function protobufBegin(): void {
  left = 0;
}

/** Whether the page could end here. */
export function protobufWhole(): bool {
  return left === 0;
}

function beginFamily(): void {
  left = number;
  type = COUNTER;
  nameLength = 0;
  headed = false;
}

/** Takes in one field of a family; the place where the lines end then, or 0. */
function takeField(next: usize, out: usize, outEnd: usize): usize {
  if (field === 4) return nameLength === 0 ? wrong() : metric(body, next, out, outEnd);
  if (field === 1) {
    nameLength = <i32>(next - body);
    if (nameLength > LONGEST_NAME - 16) return wrong();
    copy(body, nameLength, NAME);
  } else if (field === 3) {
    type = <i32>number;
    if (number > <u64>HISTOGRAM) return wrong();
  }
  return out;
}

/**
 * Reads from `start` to `end`, as far as whole fields are there, and writes lines to `out`, `outEnd` at most. Gives the
 * place behind what was read. Then OUT has the place behind what was written, STATUS why it stopped.
 */
export function protobuf(start: usize, end: usize, out: usize, outEnd: usize): usize {
  let at = start;
  let to = out;
  status = MORE;
  while (true) {
    if (left === 0) {
      const family = varint(at, end);
      if (family === 0) break;
      beginFamily();
      at = family;
      if (left === 0) continue;
    }
    const next = fieldEnd(at, end);
    if (next === 0) break;
    if (<u64>(next - at) > left) {
      status = WRONG;
      break;
    }
    // What is read inside the field forgets where the field ends.
    const written = takeField(next, to, outEnd);
    if (written === 0) break;
    to = written;
    left -= <u64>(next - at);
    at = next;
  }
  store<u32>(OUT, <u32>to);
  store<i32>(STATUS, status);
  return at;
}
