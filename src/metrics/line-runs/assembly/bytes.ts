// AssemblyScript, which becomes WebAssembly (scripts/compile-line-runs.mjs): the part of the merge that looks at every
// byte of a page, sixteen at a time. It says only "from here to there all lines are beyond doubt"; whatever is in any
// way odd it leaves to the TypeScript around it, which knows all rules. So it may say less than it could, never more.
//
// All addresses are places in its one memory, where the lines are, too. The lines end with a line feed, which no
// comparison below runs over: what is compared with holds none. Sixteen bytes behind the lines must be readable.

export const LF: i32 = 10;
export const SPACE: i32 = 32;
export const QUOTE: i32 = 34;
export const HASH: i32 = 35;
export const PLUS: i32 = 43;
export const COMMA: i32 = 44;
export const MINUS: i32 = 45;
export const POINT: i32 = 46;
export const EQUALS: i32 = 61;
export const BACKSLASH: i32 = 92;
export const UNDERSCORE: i32 = 95;
export const OPEN: i32 = 123;
export const CLOSE: i32 = 125;

/**
 * The start of the memory is ours. First what line-room.ts reads after a call: lines, the end of a name, a type, groups;
 * the groups themselves are the last of it. Between them are the places that alike.ts and family.ts keep.
 */
const LINES: usize = 0;
const NAME_END: usize = 4;
const TYPE: usize = 8;
const GROUPS_COUNT: usize = 12;
export const GROUPS: usize = 1024;

export function setLines(count: i32): void {
  store<i32>(LINES, count);
}

export function setGroups(count: i32): void {
  store<i32>(GROUPS_COUNT, count);
}

const HELP: usize = 24;

/** Where the help text begins, or 0. */
export function setHelp(start: usize): void {
  store<u32>(HELP, <u32>start);
}

export function setFamily(nameEnd: usize, type: i32): void {
  store<u32>(NAME_END, <u32>nameEnd);
  store<i32>(TYPE, type);
}

/** Longer numbers are left to the reader that knows what a double can hold. */
const LONGEST_NUMBER: usize = 40;

export function same(a: usize, b: usize, length: i32): bool {
  let i: i32 = 0;
  for (; i + 16 <= length; i += 16) {
    if (i8x16.bitmask(i8x16.eq(v128.load(a + i), v128.load(b + i))) !== 0xffff) return false;
  }
  const mask = (1 << (length - i)) - 1;
  return (i8x16.bitmask(i8x16.eq(v128.load(a + i), v128.load(b + i))) & mask) === mask;
}

/** Which of sixteen bytes are a quote, a backslash or a line feed, as bits. */
export function oddBytes(at: usize): i32 {
  const bytes = v128.load(at);
  const quotes = i8x16.eq(bytes, i8x16.splat(<i8>QUOTE));
  const others = v128.or(i8x16.eq(bytes, i8x16.splat(<i8>BACKSLASH)), i8x16.eq(bytes, i8x16.splat(<i8>LF)));
  return i8x16.bitmask(v128.or(quotes, others));
}

/** The first quote, backslash or line feed at or behind `start`. */
export function valueEnd(start: usize): usize {
  let at = start;
  let hits: i32 = 0;
  while (true) {
    hits = oddBytes(at);
    if (hits !== 0) break;
    at += 16;
  }
  return at + ctz(hits);
}

/** The first line feed at or behind `start`. */
export function feedFrom(start: usize): usize {
  let at = start;
  let hits: i32 = 0;
  while (true) {
    hits = i8x16.bitmask(i8x16.eq(v128.load(at), i8x16.splat(<i8>LF)));
    if (hits !== 0) break;
    at += 16;
  }
  return at + ctz(hits);
}

export function isDigit(at: usize): bool {
  return <u32>load<u8>(at) - 48 < 10;
}

export function digitsEnd(start: usize): usize {
  let at = start;
  while (isDigit(at)) at++;
  return at;
}

/** The place behind a number as pages nearly always have it (a sign, digits, a fraction, an exponent), or 0. */
export function numberEnd(start: usize): usize {
  let at = start;
  if (load<u8>(at) === MINUS) at++;
  const whole = at;
  at = digitsEnd(at);
  if (at === whole) return 0;
  if (load<u8>(at) === POINT) {
    const fraction = at + 1;
    at = digitsEnd(fraction);
    if (at === fraction) return 0;
  }
  if (at - start > LONGEST_NUMBER) return 0;
  if ((load<u8>(at) | 32) !== 101) return at;
  at++;
  if (load<u8>(at) === MINUS || load<u8>(at) === PLUS) at++;
  const exponent = at;
  at = digitsEnd(at);
  return at === exponent || at - exponent > 2 ? 0 : at;
}

/** The first byte at or behind `start` that can't stand in a metric's name. */
export function nameBytesEnd(start: usize): usize {
  let at = start;
  let hits: i32 = 0;
  while (true) {
    const bytes = v128.load(at);
    const lower = v128.or(bytes, i8x16.splat(32));
    const letters = i8x16.lt_u(i8x16.sub(lower, i8x16.splat(97)), i8x16.splat(26));
    // The colon stands behind the nine.
    const digits = i8x16.lt_u(i8x16.sub(bytes, i8x16.splat(48)), i8x16.splat(11));
    const others = v128.or(digits, i8x16.eq(bytes, i8x16.splat(<i8>UNDERSCORE)));
    hits = i8x16.bitmask(v128.or(letters, others)) ^ 0xffff;
    if (hits !== 0) break;
    at += 16;
  }
  return at + ctz(hits);
}

export function isLabelByte(byte: u32): bool {
  return (byte | 32) - 97 < 26 || byte - 48 < 10 || byte === UNDERSCORE;
}
