import { closeMovedTo, learn, moveTo, quoteMovedTo, valueMovedTo } from "./alike";
import { CLOSE, GROUPS, HASH, isDigit, LF, MINUS, numberEnd, OPEN, PLUS, POINT, SPACE, same, setGroups } from "./bytes";
import { announcesAnother } from "./comment";

/** So many digits, and ten to this power, are exact in a double. */
const EXACT_DIGITS: usize = 15;
const EXACT_POWER: i32 = 22;

/** What was read by the last of the two below. */
let amount: f64 = 0;

/** The place behind a whole number without a sign, or 0. */
function wholeEnd(start: usize): usize {
  let at = start;
  amount = 0;
  while (isDigit(at)) {
    amount = amount * 10 + <f64>(<i32>load<u8>(at) - 48);
    at++;
  }
  return at === start || at - start > EXACT_DIGITS ? 0 : at;
}

/** The place behind a bucket's bound that is not negative and exactly known, or 0. */
function boundEnd(start: usize): usize {
  // "+Inf"
  if (load<u32>(start) === 0x666e492b) {
    amount = Infinity;
    return start + 4;
  }
  let at = start;
  let power: i32 = 0;
  let digits: f64 = 0;
  let point: usize = 0;
  while (isDigit(at) || (load<u8>(at) === POINT && point === 0 && at !== start)) {
    if (load<u8>(at) === POINT) point = at;
    else digits = digits * 10 + <f64>(<i32>load<u8>(at) - 48);
    at++;
  }
  if (at === start || at - start > EXACT_DIGITS || point === at - 1) return 0;
  if (point !== 0) power = -(<i32>(at - 1 - point));
  if ((load<u8>(at) | 32) === 101) {
    const minus = load<u8>(at + 1) === MINUS;
    const exponent = minus || load<u8>(at + 1) === PLUS ? at + 2 : at + 1;
    at = wholeEnd(exponent);
    if (at === 0 || at - exponent > 2) return 0;
    power += minus ? -(<i32>amount) : <i32>amount;
  }
  if (power > EXACT_POWER || power < -EXACT_POWER) return 0;
  let ten: f64 = 1;
  for (let i = abs(power); i > 0; i--) ten *= 10;
  amount = power < 0 ? digits / ten : digits * ten;
  return at;
}

/** Of the group's first line: itself, its first label, the pair of `le`, the value and end of that, "}". */
let first: usize = 0;
let labels: usize = 0;
let pair: usize = 0;
let bound: usize = 0;
let pairEnd: usize = 0;
let labelsEnd: usize = 0;
/** Of `name_bucket{`, the name. */
let nameLength: i32 = 0;
/** Lines so far. */
let found: i32 = 0;

/** The place behind the buckets, which rise to +Inf and whose counts do not fall; or 0. `amount` is the last count. */
function bucketsEnd(end: usize): usize {
  const head = <i32>(bound - first);
  const tail = pairEnd - 1;
  const tailLength = <i32>(labelsEnd + 2 - tail);
  let at = first;
  let before: f64 = -1;
  let count: f64 = 0;
  while (at < end && same(at, first, head)) {
    const behind = boundEnd(at + head);
    if (behind === 0 || !(amount > before) || !same(behind, tail, tailLength)) return 0;
    before = amount;
    at = wholeEnd(behind + tailLength);
    if (at === 0 || load<u8>(at) !== LF || amount < count) return 0;
    count = amount;
    at++;
    found++;
  }
  amount = count;
  return before === Infinity ? at : 0;
}

/** The place behind the labels without `le`, as they stand in the sum and in the count, and the space; or 0. */
function otherLabelsEnd(start: usize): usize {
  const rest = pairEnd < labelsEnd ? <i32>(labelsEnd - pairEnd - 1) : 0;
  let front = <i32>(pair - labels);
  if (front + rest === 0) {
    if (load<u8>(start) === SPACE) return start + 1;
    return load<u16>(start) === 0x7d7b && load<u8>(start + 2) === SPACE ? start + 3 : 0;
  }
  if (rest === 0) front--;
  const at = start + 1;
  if (load<u8>(start) !== OPEN || !same(at, labels, front) || !same(at + front, pairEnd + 1, rest)) return 0;
  const behind = at + front + rest;
  return load<u8>(behind) === CLOSE && load<u8>(behind + 1) === SPACE ? behind + 2 : 0;
}

/** The place behind the sum and the count, in any order; or 0. */
function totalsEnd(start: usize, count: f64, end: usize): usize {
  let at = start;
  let sums: i32 = 0;
  for (let line = 0; line < 2; line++) {
    if (at >= end || !same(at, first, nameLength)) return 0;
    const suffix = at + nameLength;
    // "_sum", or "_cou" and "nt"
    const sum = load<u32>(suffix) === 0x6d75735f;
    if (!sum && (load<u32>(suffix) !== 0x756f635f || load<u16>(suffix + 4) !== 0x746e)) return 0;
    const value = otherLabelsEnd(suffix + (sum ? 4 : 6));
    if (value === 0) return 0;
    at = sum ? numberEnd(value) : wholeEnd(value);
    if (at === 0 || load<u8>(at) !== LF) return 0;
    if (sum ? load<u8>(value) === MINUS : amount !== count) return 0;
    if (sum) sums++;
    at++;
  }
  found += 2;
  return sums === 1 ? at : 0;
}

/** Two hashes of the labels without `le` and its comma, as group-check.ts makes them. */
let keyA: u32 = 0;
let keyB: u32 = 0;

function addToKey(start: usize, end: usize): void {
  let a = keyA;
  let b = keyB;
  for (let at = start; at < end; at++) {
    const byte = <u32>load<u8>(at);
    a = (a ^ byte) * 0x01000193;
    b = b * 31 + byte;
  }
  keyA = a;
  keyB = b;
}

function makeKey(): void {
  keyA = 0x811c9dc5;
  keyB = 0;
  if (pairEnd < labelsEnd) {
    addToKey(labels, pair);
    addToKey(pairEnd + 1, labelsEnd);
  } else if (pair > labels) addToKey(labels, pair - 1);
}

/** Groups that one call gives at most; of each: its first byte, its lines, its two keys. */
const MOST_GROUPS: i32 = 64;
const GROUP: usize = 16;

function noteGroup(index: i32, keyed: bool): void {
  const row = GROUPS + <usize>index * GROUP;
  store<u32>(row, <u32>first);
  store<i32>(row + 4, found);
  if (!keyed) return;
  makeKey();
  store<u32>(row + 8, keyA);
  store<u32>(row + 12, keyB);
}

/** The place behind the group that begins at `first`, when it is right by every rule; or 0. */
function groupEnd(end: usize): usize {
  found = 0;
  const buckets = bucketsEnd(end);
  if (buckets === 0) return 0;
  const behind = totalsEnd(buckets, amount, end);
  return behind < end ? behind : 0;
}

/**
 * Groups of a histogram in the usual form: of each its buckets in order up to +Inf, its sum and its count, right by
 * every rule, and behind them a line that belongs to something else for certain. `line` is the first bucket, which is
 * known to be right and without a time stamp; then places in it: the first label, the pair of `le` (its first byte, its
 * value, the byte behind it) and the "}". `keyed`: the groups' keys are wanted. Gives the place behind the last group,
 * or `line` when the first one is not of that kind.
 */
export function histograms(
  line: usize,
  label: usize,
  le: usize,
  value: usize,
  leEnd: usize,
  close: usize,
  end: usize,
  keyed: bool,
): usize {
  setGroups(0);
  first = line;
  labels = label;
  pair = le;
  bound = value;
  pairEnd = leEnd;
  labelsEnd = close;
  // "_bucket{"
  nameLength = <i32>(label - line) - 8;
  if (!learn(line)) return line;
  for (let count = 0; count < MOST_GROUPS; count++) {
    const behind = groupEnd(end);
    if (behind === 0) break;
    const over = load<u8>(behind) === HASH;
    if (over ? !announcesAnother(behind, first, nameLength) : !moveTo(behind, bound)) break;
    noteGroup(count, keyed);
    setGroups(count + 1);
    if (over) return behind;
    moveOn(behind);
  }
  return first;
}

/** To the group that begins there, behind `moveTo`. */
function moveOn(line: usize): void {
  labels = line + (labels - first);
  first = line;
  bound = valueMovedTo();
  // `le="`
  pair = bound - 4;
  pairEnd = quoteMovedTo() + 1;
  labelsEnd = closeMovedTo();
}
