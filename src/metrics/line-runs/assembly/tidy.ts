// Lines that are in the usual form but for blanks between their parts, tabs, or a carriage return at the end: they are
// brought into it where they stand, which never makes them longer. What the patient reader would read in them is the
// same before and after; any other line stays as it is, for that reader.

import {
  BACKSLASH,
  CLOSE,
  COMMA,
  EQUALS,
  feedFrom,
  HASH,
  isLabelByte,
  LF,
  nameBytesEnd,
  OPEN,
  QUOTE,
  SPACE,
  valueEnd,
} from "./bytes";

const TAB: i32 = 9;
const CR: i32 = 13;

/** The parts of a line that stay, as pairs of places; behind the bounds that protobuf.ts keeps. */
const SPANS: usize = 19 * 65536 + 9216;
const MOST_SPANS: i32 = 380;
let spans: i32 = 0;
/** Where the part begins that is not over. */
let open: usize = 0;

function isBlank(at: usize): bool {
  const byte = load<u8>(at);
  return byte === SPACE || byte === TAB;
}

function blanksEnd(start: usize): usize {
  let at = start;
  while (isBlank(at)) at++;
  return at;
}

/** Leaves out what is from `start` to `end`; gives `end`. */
function leaveOut(start: usize, end: usize): usize {
  if (start === end) return end;
  if (spans < MOST_SPANS) {
    store<u32>(SPANS + <usize>spans * 8, <u32>open);
    store<u32>(SPANS + <usize>spans * 8 + 4, <u32>start);
  }
  spans++;
  open = end;
  return end;
}

function skipBlanks(start: usize): usize {
  return leaveOut(start, blanksEnd(start));
}

/** The place behind the blanks, of which one stays, as a space; 0 when there are none. */
function separated(start: usize): usize {
  if (!isBlank(start)) return 0;
  store<u8>(start, <u8>SPACE);
  return skipBlanks(start + 1);
}

/** The place behind the closing quote, or 0. */
function quotedEnd(start: usize): usize {
  let at = start;
  while (true) {
    at = valueEnd(at);
    const byte = load<u8>(at);
    if (byte === QUOTE) return at + 1;
    if (byte !== BACKSLASH || load<u8>(at + 1) === LF) return 0;
    at += 2;
  }
}

/** The place behind `name="value"` and the blanks behind it, or 0. */
function pairEnd(start: usize): usize {
  let at = start;
  while (isLabelByte(load<u8>(at))) at++;
  if (at === start) return 0;
  at = skipBlanks(at);
  if (load<u8>(at) !== EQUALS) return 0;
  at = skipBlanks(at + 1);
  if (load<u8>(at) !== QUOTE) return 0;
  at = quotedEnd(at + 1);
  return at === 0 ? 0 : skipBlanks(at);
}

/**
 * The place behind "}", or 0: also when there are no labels, or a comma behind the last one, both of which the patient
 * reader leaves out.
 */
function labelsEnd(start: usize): usize {
  let at = skipBlanks(start);
  while (true) {
    at = pairEnd(at);
    if (at === 0) return 0;
    if (load<u8>(at) === CLOSE) return at + 1;
    if (load<u8>(at) !== COMMA) return 0;
    at = skipBlanks(at + 1);
  }
}

function isLineEnd(at: usize): bool {
  return load<u8>(at) === LF || (load<u8>(at) === CR && load<u8>(at + 1) === LF);
}

/**
 * The place behind a number, or whatever stands there up to a blank; 0 when there is nothing, or a carriage return that
 * does not end the line (and would, if the one behind it were left out).
 */
function wordEnd(start: usize): usize {
  let at = start;
  while (!isBlank(at) && !isLineEnd(at)) if (load<u8>(at++) === CR) return 0;
  return at === start ? 0 : at;
}

/** Reads a sample and notes what of it stays: the place of its line feed, or 0 when it must stay as it is. */
function sampleEnd(line: usize): usize {
  spans = 0;
  open = line;
  let at = nameBytesEnd(line);
  if (at === line) return 0;
  if (load<u8>(blanksEnd(at)) === OPEN) {
    at = labelsEnd(skipBlanks(at) + 1);
    if (at === 0) return 0;
  }
  at = separated(at);
  if (at === 0) return 0;
  at = wordEnd(at);
  if (at === 0) return 0;
  if (!isLineEnd(blanksEnd(at))) {
    at = wordEnd(separated(at));
    if (at === 0 || !isLineEnd(blanksEnd(at))) return 0;
  }
  return lineFeedBehind(at);
}

/** The line feed behind blanks and a carriage return, which are left out; 0 when there are too many parts. */
function lineFeedBehind(at: usize): usize {
  const end = blanksEnd(at);
  const feed = load<u8>(end) === LF ? end : end + 1;
  leaveOut(at, feed);
  leaveOut(feed, feed + 1);
  return spans > MOST_SPANS ? 0 : feed;
}

/** Moves bytes to a place at or before their own; gives the place behind them. */
function move(from: usize, end: usize, to: usize): usize {
  if (from !== to) memory.copy(to, from, end - from);
  return to + (end - from);
}

function ended(to: usize): usize {
  store<u8>(to, <u8>LF);
  return to + 1;
}

/** A comment or an empty line, without its carriage return. */
function moveComment(line: usize, feed: usize, to: usize): usize {
  const returned = feed > line && load<u8>(feed - 1) === CR;
  const twice = returned && feed - 1 > line && load<u8>(feed - 2) === CR;
  return ended(move(line, returned && !twice ? feed - 1 : feed, to));
}

function moveSample(to: usize): usize {
  let out = to;
  for (let i = 0; i < spans; i++) {
    out = move(load<u32>(SPANS + <usize>i * 8), load<u32>(SPANS + <usize>i * 8 + 4), out);
  }
  return ended(out);
}

/** Tidies the lines from `start` to `end`; gives the place where they end now. */
export function tidy(start: usize, end: usize): usize {
  let out = start;
  let at = start;
  while (at < end) {
    const comment = load<u8>(at) === HASH || isLineEnd(at);
    const feed = comment ? feedFrom(at) : sampleEnd(at);
    if (comment) out = moveComment(at, feed, out);
    else if (feed !== 0) out = moveSample(out);
    else {
      const behind = feedFrom(at) + 1;
      out = move(at, behind, out);
      at = behind;
      continue;
    }
    at = feed + 1;
  }
  return out;
}
