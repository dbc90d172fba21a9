import { alikeEnd, foundAlike, learn } from "./alike";
import {
  CLOSE,
  COMMA,
  EQUALS,
  HASH,
  isDigit,
  isLabelByte,
  LF,
  MINUS,
  numberEnd,
  OPEN,
  QUOTE,
  SPACE,
  same,
  setFamily,
  setHelp,
  setLines,
  valueEnd,
} from "./bytes";
import { announcesAnother, helpEnd, isHelp, isType, nameEnd, WORD } from "./comment";

const MOST_LABELS: i32 = 16;
/** The label names of the line that is looked at, as pairs of place and length. */
const NAMES: usize = 640;

/** 1 for a counter, 2 for a gauge, with a line feed behind it; else 0. */
function typeAt(at: usize): i32 {
  // "coun" and "ter" with the line feed; "gaug" and "e" with it
  if (load<u32>(at) === 0x6e756f63 && load<u32>(at + 4) === 0x0a726574) return 1;
  return load<u32>(at) === 0x67756167 && load<u16>(at + 4) === 0x0a65 ? 2 : 0;
}

/** The place behind the label's name, or 0 when it is reserved or among the `count` before it. */
function labelNameEnd(start: usize, count: i32): usize {
  if (isDigit(start) || count === MOST_LABELS || load<u16>(start) === 0x5f5f) return 0;
  let at = start;
  while (isLabelByte(load<u8>(at))) at++;
  const length = <i32>(at - start);
  if (length === 0) return 0;
  for (let i = 0; i < count; i++) {
    const other = <usize>load<u32>(NAMES + i * 8);
    if (load<i32>(NAMES + i * 8 + 4) === length && same(other, start, length)) return 0;
  }
  store<u32>(NAMES + count * 8, <u32>start);
  store<i32>(NAMES + count * 8 + 4, length);
  return at;
}

/** The place behind "}" when all labels behind "{" are in the usual form, each once; or 0. */
function labelsEnd(start: usize): usize {
  let at = start;
  let count: i32 = 0;
  while (load<u8>(at) !== CLOSE) {
    at = labelNameEnd(at, count++);
    if (at === 0 || load<u8>(at) !== EQUALS || load<u8>(at + 1) !== QUOTE) return 0;
    at = valueEnd(at + 2);
    if (load<u8>(at) !== QUOTE) return 0;
    at++;
    if (load<u8>(at) === COMMA) {
      if (load<u8>(++at) === CLOSE) return 0;
    } else if (load<u8>(at) !== CLOSE) return 0;
  }
  return at + 1;
}

/** The place behind the family's first line, or 0. */
function firstEnd(line: usize, name: usize, length: i32, count: bool): usize {
  if (!same(line, name, length)) return 0;
  let at = line + length;
  if (load<u8>(at) === OPEN) at = labelsEnd(at + 1);
  if (at === 0 || load<u8>(at) !== SPACE || (count && load<u8>(at + 1) === MINUS)) return 0;
  at = numberEnd(at + 1);
  return at === 0 || load<u8>(at) !== LF ? 0 : at + 1;
}

/** The place of `# TYPE` behind the help of the same family; `line` when there is no help, 0 when it is an odd one. */
function typeLine(line: usize, end: usize): usize {
  setHelp(0);
  if (!isHelp(line)) return line;
  const name = line + WORD;
  const behind = nameEnd(name);
  if (behind === 0) return 0;
  const feed = helpEnd(behind + 1);
  const type = feed + 1;
  if (feed === 0 || type >= end) return 0;
  const length = <i32>(behind - name);
  if (!same(type + WORD, name, length) || load<u8>(type + WORD + length) !== SPACE) return 0;
  setHelp(behind + 1);
  return type;
}

/**
 * A whole counter or gauge: its help or none, `# TYPE`, lines that are all alike and right by every rule of the line, and
 * behind them a line that announces another family. `line` is the first comment; `count`: a counter must not be
 * negative. Gives the place behind the family, or `line` when it is not of that kind.
 */
export function family(line: usize, end: usize, count: bool): usize {
  const comment = typeLine(line, end);
  if (comment === 0 || !isType(comment)) return line;
  const name = comment + WORD;
  const behind = nameEnd(name);
  if (behind === 0) return line;
  const type = typeAt(behind + 1);
  const first = behind + (type === 1 ? 9 : 7);
  if (type === 0 || first >= end) return line;
  const length = <i32>(behind - name);
  const rises = count && type === 1;
  const second = firstEnd(first, name, length, rises);
  if (second === 0 || !learn(first)) return line;
  const over = alikeEnd(second, end, rises, false);
  if (over >= end || load<u8>(over) !== HASH || !announcesAnother(over, name, length)) return line;
  setLines(foundAlike() + 1);
  setFamily(behind, type);
  return over;
}
