import type { IdRange } from "./capture-options.ts";

/** The largest uid or gid; 2^32 - 1 means "nobody given" to the kernel. */
const LARGEST_ID = 2 ** 32 - 2;

/** `1337` or `1000-2000`; undefined when it is neither. */
export function readIds(text: string): IdRange | undefined {
  const [, first, last] = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(text) ?? [];
  if (first === undefined) return undefined;
  const range = { from: Number(first), to: Number(last ?? first) };
  return range.from <= range.to && range.to <= LARGEST_ID ? range : undefined;
}
