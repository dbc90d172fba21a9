import { CLOSE, COMMA, isDigit, LF, MINUS, numberEnd, OPEN, QUOTE, SPACE, same, setLines, valueEnd } from "./bytes";

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

/** As `alike`, behind `learn`; gives the lines in `found`. */
let found: i32 = 0;
export function alikeEnd(start: usize, end: usize, count: bool): usize {
  found = 0;
  let at = start;
  while (at < end) {
    const value = numberStart(at);
    if (value === 0) break;
    // Most numbers of most pages are one digit.
    const behind = isDigit(value) && load<u8>(value + 1) === LF ? value + 1 : numberEnd(value);
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

/**
 * Lines from `at` on that differ from the line at `line` in nothing but the values of its labels and the number; that
 * line is known to be right, without a time stamp. `count`: a number that is negative ends it, too. Gives the place
 * where it ends, `end` at most.
 */
export function alike(line: usize, at: usize, end: usize, count: bool): usize {
  const behind = learn(line) ? alikeEnd(at, end, count) : at;
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
