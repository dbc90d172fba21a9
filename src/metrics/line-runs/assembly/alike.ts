import {
  CLOSE,
  COMMA,
  digitsEnd,
  isDigit,
  LF,
  MINUS,
  numberEnd,
  OPEN,
  QUOTE,
  SPACE,
  same,
  setLines,
  valueEnd,
} from "./bytes";

/** The fixed parts of a line, between its label values, as pairs of place and length. */
const PARTS: usize = 64;
const MOST_PARTS: i32 = 64;

/** Of the line that was learned: parts before values, and the part behind the last one. */
let partsCount: i32 = 0;
let lastPart: usize = 0;
let lastLength: i32 = 0;

/** Takes a right line apart; false when it has an escape, or too many labels. */
export function learn(line: usize): bool {
  let at = line;
  let part = line;
  partsCount = 0;
  while (load<u8>(at) !== OPEN && load<u8>(at) !== SPACE) at++;
  if (load<u8>(at) === OPEN) {
    at++;
    while (load<u8>(at) !== CLOSE) {
      while (load<u8>(at) !== QUOTE) at++;
      at++;
      if (partsCount === MOST_PARTS) return false;
      store<u32>(PARTS + partsCount * 8, <u32>part);
      store<u32>(PARTS + partsCount * 8 + 4, <u32>(at - part));
      partsCount++;
      part = valueEnd(at);
      if (load<u8>(part) !== QUOTE) return false;
      at = part + 1;
      if (load<u8>(at) === COMMA) at++;
    }
    at++;
  }
  lastPart = part;
  lastLength = <i32>(at + 1 - part);
  return true;
}

/** The first byte of the number of a line that has those parts, or 0. */
function numberStart(line: usize): usize {
  let at = line;
  for (let i = 0; i < partsCount; i++) {
    const part = <usize>load<u32>(PARTS + i * 8);
    const length = load<i32>(PARTS + i * 8 + 4);
    if (!same(at, part, length)) return 0;
    at = valueEnd(at + length);
    if (load<u8>(at) !== QUOTE) return 0;
  }
  return same(at, lastPart, lastLength) ? at + lastLength : 0;
}

/** Longer time stamps are left to the reader that knows what fits. */
const LONGEST_TIME: usize = 15;

/** The line feed behind a space and digits, or 0. */
function timeEnd(start: usize): usize {
  if (load<u8>(start) !== SPACE) return 0;
  const end = digitsEnd(start + 1);
  return end === start + 1 || end - start > LONGEST_TIME + 1 ? 0 : end;
}

/** As `alike`, behind `learn`; `timed`: each has a time stamp of whole numbers. Gives the lines in `found`. */
let found: i32 = 0;
export function alikeEnd(start: usize, end: usize, count: bool, timed: bool): usize {
  found = 0;
  let at = start;
  while (at < end) {
    const value = numberStart(at);
    if (value === 0) break;
    // Most numbers of most pages are one digit.
    let behind = isDigit(value) && load<u8>(value + 1) === LF ? value + 1 : numberEnd(value);
    if (timed && behind !== 0) behind = timeEnd(behind);
    if (behind === 0 || load<u8>(behind) !== LF || (count && load<u8>(value) === MINUS)) break;
    at = behind + 1;
    found++;
  }
  return at;
}

/** Lines that `alikeEnd` found. */
export function foundAlike(): i32 {
  return found;
}

/** Whether the line that was learned has something behind its number. */
function isTimed(): bool {
  // The last of its parts ends with the space before the number.
  const end = numberEnd(lastPart + lastLength);
  return end !== 0 && load<u8>(end) === SPACE;
}

/**
 * Lines from `at` on that differ from the line at `line` in nothing but the values of its labels, the number, and the
 * time stamp if that one has one; it is known to be right. `count`: a number that is negative ends it, too. Gives the place
 * where it ends, `end` at most.
 */
export function alike(line: usize, at: usize, end: usize, count: bool): usize {
  const behind = learn(line) ? alikeEnd(at, end, count, isTimed()) : at;
  setLines(behind === at ? 0 : found);
  return behind;
}

/** Of the last line that `moveTo` moved to: the value of the label that was left out, the quote behind it, the "}". */
let movedValue: usize = 0;
let movedQuote: usize = 0;
export function valueMovedTo(): usize {
  return movedValue;
}
export function quoteMovedTo(): usize {
  return movedQuote;
}
export function closeMovedTo(): usize {
  return lastPart + lastLength - 2;
}

/**
 * Whether the line is like the one that was learned, with another value in a label beside the one whose value begins
 * at `but`. If so it is the one that is learned now.
 */
export function moveTo(line: usize, but: usize): bool {
  let at = line;
  let other = false;
  for (let i = 0; i < partsCount; i++) {
    const part = <usize>load<u32>(PARTS + i * 8);
    const length = load<i32>(PARTS + i * 8 + 4);
    if (!same(at, part, length)) return false;
    store<u32>(PARTS + i * 8, <u32>at);
    const before = part + length;
    const value = at + length;
    at = valueEnd(value);
    if (load<u8>(at) !== QUOTE) return false;
    if (before === but) {
      movedValue = value;
      movedQuote = at;
    } else if (!same(value, before, <i32>(at + 1 - value))) {
      // With the quote behind it, so that none is the beginning of the other.
      other = true;
    }
  }
  if (!other || !same(at, lastPart, lastLength)) return false;
  lastPart = at;
  return true;
}
