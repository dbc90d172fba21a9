import type { Millis } from "../../foundation/time.ts";

/** Tells a person what is waited for; knows no target but by its name. */
export interface Progress {
  /** A question was answered with no. */
  notYet(name: string, because: string, now: Millis): void;
  ready(name: string, now: Millis): void;
  /** It is over, either way: what was written is a whole line from here on. */
  over(now: Millis): void;
}

/** A new reason is worth a line, at most one a second; the same one again after a while, as a sign of life. */
const BETWEEN_LINES: Millis = 1_000;
const SAME_AGAIN: Millis = 10_000;

/** Lines for a log: one for each new reason of a target, and one when a target that was told about is ready. */
export function linesOfProgress(write: (text: string) => void, start: Millis): Progress {
  const told = new Map<string, { readonly because: string; readonly at: Millis }>();
  return {
    notYet(name, because, now) {
      const last = told.get(name);
      const quiet = last === undefined ? Number.POSITIVE_INFINITY : now - last.at;
      if (quiet < (because === last?.because ? SAME_AGAIN : BETWEEN_LINES)) return;
      told.set(name, { because, at: now });
      write(`pilotfish: waiting for ${name}: ${because}\n`);
    },
    ready(name, now) {
      if (told.has(name)) write(`pilotfish: ${name} is ready after ${seconds(now - start)}\n`);
    },
    over: () => undefined,
  };
}

const ERASE_LINE = "\r\x1b[2K";
/** The terminal cuts the line at its edge instead of wrapping it, so that one line stays one line. */
const [CUT, WRAP] = ["\x1b[?7l", "\x1b[?7h"];

/** One line that is written over and over, for a terminal. */
export function lineOfProgress(write: (text: string) => void, start: Millis, total: number): Progress {
  const open = new Map<string, string>();
  let [ready, shown] = [0, false];
  const draw = (now: Millis): void => {
    const count = total > 1 ? `${ready} of ${total} ready, ` : "";
    const rest = [...open].map(([name, because]) => `${name} (${because})`).join(", ");
    write(`${ERASE_LINE}${CUT}pilotfish: ${seconds(now - start)}, ${count}waiting for ${rest}${WRAP}`);
    shown = true;
  };
  return {
    notYet(name, because, now) {
      open.set(name, because);
      draw(now);
    },
    ready(name, now) {
      ready++;
      open.delete(name);
      if (shown && open.size > 0) draw(now);
    },
    over(now) {
      if (!shown) return;
      write(ERASE_LINE);
      if (ready === total) write(`pilotfish: ready after ${seconds(now - start)}\n`);
    },
  };
}

const seconds = (duration: Millis): string => `${(duration / 1_000).toFixed(1)} s`;
