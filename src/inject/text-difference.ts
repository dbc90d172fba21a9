/** Two texts by line, as people compare them. */

export interface DifferenceOptions {
  readonly name: string;
  readonly colour: boolean;
  /** Unchanged lines around a change. */
  readonly context?: number;
}

type Line = { readonly sign: " " | "-" | "+"; readonly text: string };

/** A text before and after. */
export type Change = readonly [before: string, after: string];

/** A unified difference of texts that stand one behind the other; empty when nothing changed. */
export function textDifference(changes: readonly Change[], options: DifferenceOptions): string {
  if (changes.every(([before, after]) => before === after)) return "";
  const lines = changes.flatMap(([before, after]) => compareLines(linesOf(before), linesOf(after)));
  const paint = options.colour ? painted : (line: Line) => line.sign + line.text;
  const head = [`--- ${options.name}`, `+++ ${options.name} (injected)`];
  const hunks = hunksOf(lines, options.context ?? 3).flatMap((hunk) => [hunk.head, ...hunk.lines.map(paint)]);
  return `${[...head, ...hunks].join("\n")}\n`;
}

const linesOf = (text: string): readonly string[] => (text.endsWith("\n") ? text.slice(0, -1) : text).split("\n");

const colours = { "-": "\u001b[31m", "+": "\u001b[32m", " ": "" } as const;
const painted = ({ sign, text }: Line): string =>
  sign === " " ? ` ${text}` : `${colours[sign]}${sign}${text}\u001b[0m`;

/** More edits than this are shown as one: the work grows with their square. */
const MOST_EDITS = 1_500;

/**
 * Myers' greedy algorithm over what lies between the common head and tail. Both texts come from the same printer, so
 * the number of edits is what was injected and the work stays small.
 */
function compareLines(left: readonly string[], right: readonly string[]): readonly Line[] {
  let head = 0;
  while (head < left.length && head < right.length && left[head] === right[head]) head++;
  let tail = 0;
  while (tail < left.length - head && tail < right.length - head && left.at(-1 - tail) === right.at(-1 - tail)) tail++;
  return [
    ...signed(left.slice(0, head), " "),
    ...edits(left.slice(head, left.length - tail), right.slice(head, right.length - tail)),
    ...signed(left.slice(left.length - tail), " "),
  ];
}

const signed = (list: readonly string[], sign: Line["sign"]): readonly Line[] => list.map((text) => ({ sign, text }));

function edits(left: readonly string[], right: readonly string[]): readonly Line[] {
  const trace = furthest(left, right);
  if (trace === undefined) return [...signed(left, "-"), ...signed(right, "+")];
  const lines: Line[] = [];
  let [x, y] = [left.length, right.length];
  for (let depth = trace.length - 1; depth >= 0; depth--) {
    const reached = trace[depth] ?? new Map<number, number>();
    const k = x - y;
    const down = k === -depth || (k !== depth && (reached.get(k - 1) ?? -1) < (reached.get(k + 1) ?? -1));
    const fromK = down ? k + 1 : k - 1;
    const fromX = depth === 0 ? 0 : (reached.get(fromK) ?? 0);
    const fromY = depth === 0 ? 0 : fromX - fromK;
    for (; x > fromX && y > fromY; x--, y--) lines.push({ sign: " ", text: left[x - 1] ?? "" });
    if (depth === 0) break;
    lines.push(down ? { sign: "+", text: right[y - 1] ?? "" } : { sign: "-", text: left[x - 1] ?? "" });
    [x, y] = [fromX, fromY];
  }
  return lines.reverse();
}

/** For each number of edits, how far each diagonal got before it. */
function furthest(
  left: readonly string[],
  right: readonly string[],
): readonly ReadonlyMap<number, number>[] | undefined {
  const trace: Map<number, number>[] = [];
  const reached = new Map([[1, 0]]);
  for (let depth = 0; depth <= Math.min(left.length + right.length, MOST_EDITS); depth++) {
    trace.push(new Map(reached));
    for (let k = -depth; k <= depth; k += 2) {
      const down = k === -depth || (k !== depth && (reached.get(k - 1) ?? -1) < (reached.get(k + 1) ?? -1));
      let x = down ? (reached.get(k + 1) ?? 0) : (reached.get(k - 1) ?? 0) + 1;
      while (x < left.length && x - k < right.length && left[x] === right[x - k]) x++;
      reached.set(k, x);
      if (x >= left.length && x - k >= right.length) return trace;
    }
  }
  return undefined;
}

interface Hunk {
  readonly head: string;
  readonly lines: readonly Line[];
}

function hunksOf(lines: readonly Line[], context: number): readonly Hunk[] {
  const near = lines.map((_, index) =>
    lines.slice(Math.max(0, index - context), index + context + 1).some((one) => one.sign !== " "),
  );
  const hunks: Hunk[] = [];
  for (let at = 0; at < lines.length; at++) {
    if (near[at] !== true) continue;
    const found = near.findIndex((one, index) => index > at && !one);
    const end = found < 0 ? lines.length : found;
    hunks.push({ head: hunkHead(lines, at, end), lines: lines.slice(at, end) });
    at = end;
  }
  return hunks;
}

function hunkHead(lines: readonly Line[], from: number, to: number): string {
  const count = (list: readonly Line[], not: "+" | "-"): number => list.filter((one) => one.sign !== not).length;
  const [before, inside] = [lines.slice(0, from), lines.slice(from, to)];
  const side = (not: "+" | "-"): string => `${count(before, not) + 1},${count(inside, not)}`;
  return `@@ -${side("+")} +${side("-")} @@`;
}
