import { isDigit, LF, nameBytesEnd, SPACE, same, valueEnd } from "./bytes";

/** The length of "# TYPE ". */
export const WORD: usize = 7;

/** Whether "# TYPE " stands there. */
export function isType(line: usize): bool {
  // "# TY" and "PE "
  return load<u32>(line) === 0x59542023 && (load<u32>(line + 4) & 0xffffff) === 0x204550;
}

/** Whether "# HELP " stands there. */
export function isHelp(line: usize): bool {
  // "# HE" and "LP "
  return load<u32>(line) === 0x45482023 && (load<u32>(line + 4) & 0xffffff) === 0x20504c;
}

/** The place behind a plain name with a space behind it, or 0. */
export function nameEnd(start: usize): usize {
  if (isDigit(start)) return 0;
  const at = nameBytesEnd(start);
  return at === start || load<u8>(at) !== SPACE ? 0 : at;
}

/** Whether the line announces a family whose name is not that one. */
export function announcesAnother(line: usize, name: usize, length: i32): bool {
  if (!isType(line) && !isHelp(line)) return false;
  const at = line + WORD;
  const end = nameEnd(at);
  return end !== 0 && (<i32>(end - at) !== length || !same(at, name, length));
}

function isBlank(byte: i32): bool {
  return byte === SPACE || byte === 9 || byte === 13;
}

/** The line feed behind a help text that both forms write as it is, or 0. `start`: its first byte. */
export function helpEnd(start: usize): usize {
  const end = valueEnd(start);
  if (load<u8>(end) !== LF || end === start) return 0;
  return isBlank(load<u8>(start)) || isBlank(load<u8>(end - 1)) ? 0 : end;
}
