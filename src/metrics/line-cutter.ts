import { LF } from "./exposition.ts";
import { LineStore } from "./sinks.ts";
import { CutOff } from "./tally.ts";

/** Longer lines are nobody's metrics; the source is cut off, so that it can't fill our memory. */
export const LONGEST_LINE = 128 * 1024;

/** Pieces of a body in, whole lines out: most of a piece goes on without a copy, only its last line waits. */
export class LineCutter {
  readonly #onLines: (bytes: Buffer, start: number, end: number) => void;
  readonly #rest = new LineStore();

  constructor(onLines: (bytes: Buffer, start: number, end: number) => void) {
    this.#onLines = onLines;
  }

  push(piece: Buffer): void {
    let start = 0;
    if (this.#rest.length > 0) {
      start = piece.indexOf(LF) + 1;
      this.#keep(piece, 0, start === 0 ? piece.length : start);
      if (start === 0) return;
      this.#onLines(this.#rest.bytes, 0, this.#rest.length);
      this.#rest.clear();
    }
    const end = piece.lastIndexOf(LF) + 1;
    if (end > start) this.#onLines(piece, start, end);
    this.#keep(piece, Math.max(start, end), piece.length);
  }

  /** The body is over and whole: a last line without its line feed is a line. */
  end(): void {
    if (this.#rest.length === 0) return;
    this.#rest.add(lineFeed, 0, 1, 0);
    this.#onLines(this.#rest.bytes, 0, this.#rest.length);
    this.#rest.clear();
  }

  #keep(piece: Buffer, start: number, end: number): void {
    if (this.#rest.length + end - start > LONGEST_LINE)
      throw new CutOff("long_line", `a line has more than ${LONGEST_LINE} bytes`);
    if (end > start) this.#rest.add(piece, start, end, 0);
  }
}

const lineFeed = Buffer.from("\n");
