import type { LifecycleEvent } from "./lifecycle-events.ts";
import { duration, oneLine, type StatusDocument } from "./status-document.ts";
import { statusText } from "./status-text.ts";

/** Kubernetes keeps so much of a termination message (terminationMessagePath), bytes. */
export const TERMINATION_MESSAGE_LIMIT = 4_096;

/** Of the limit: a pod of many events must not end without a word on how it stood. */
const EVENTS_SHARE = 0.6;

export interface Ending {
  /** Why it ended, in words: what a person reads first. */
  readonly reason: string;
  readonly exitCode: number;
  readonly upMs: number;
}

/**
 * What is left behind after an unexpected end: the reason first, then the last events, newest first, then what the
 * status page showed, as much as fits into `limit` bytes. Events leave room for the page. Whole lines only.
 */
export function postMortem(
  ending: Ending,
  events: readonly LifecycleEvent[],
  document: StatusDocument,
  limit: number,
): string {
  const head = `${ending.reason} (exit code ${ending.exitCode}, after ${duration(ending.upMs)})`;
  const last = events
    .toReversed()
    .map(({ at, part, text, bad }) => `${bad ? "!" : " "} ${at.toISOString()} ${part}: ${text}`);
  const told = fitting([oneLine(head), "", ...last.map(oneLine)], limit * EVENTS_SHARE);
  const fits = fitting([...told, "", ...statusText(document, { colour: false }).split("\n")], limit);
  if (fits.length === 0 || told.length === 0) return cut(oneLine(head), limit);
  return `${fits.join("\n").trimEnd()}\n`;
}

/** As many of the lines, from the first, as have room. */
function fitting(lines: readonly string[], limit: number): readonly string[] {
  let size = 0;
  const end = lines.findIndex((line) => {
    size += Buffer.byteLength(line) + 1;
    return size > limit;
  });
  return end < 0 ? lines : lines.slice(0, end);
}

function cut(text: string, limit: number): string {
  const bytes = Buffer.from(text).subarray(0, Math.max(0, limit));
  return bytes.toString("utf8").replace(/\ufffd+$/, "");
}
