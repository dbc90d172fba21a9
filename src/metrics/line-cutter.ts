import { LF } from "./exposition.ts";
import { type LineRoom, ROOM_END, ROOM_START } from "./line-runs/line-room.ts";
import { CutOff } from "./tally.ts";

/** Longer lines are nobody's metrics; the source is cut off, so that it can't fill our memory. */
export const LONGEST_LINE = 128 * 1024;
/** The largest piece that the room has place for behind a line that waits. */
export const LARGEST_PIECE = ROOM_END - ROOM_START - LONGEST_LINE;

/**
 * Pieces of a body in, whole lines out. They are put together in a room, where they stay until the next piece: so
 * whoever borrowed them must be done with them by then.
 */
export class LineCutter {
  readonly #bytes: Buffer;
  readonly #onLines: (bytes: Buffer, start: number, end: number) => void;
  /** The line that waits for its end. */
  #start = ROOM_START;
  #end = ROOM_START;

  constructor({ bytes }: LineRoom, onLines: (bytes: Buffer, start: number, end: number) => void) {
    this.#bytes = bytes;
    this.#onLines = onLines;
  }

  /** Where the next piece may be put, so that it needs no copy. Nobody may hold any lines. */
  window(): Buffer {
    this.#makeRoom();
    return this.#bytes.subarray(this.#end, this.#end + LARGEST_PIECE);
  }

  /** `piece`: of LARGEST_PIECE bytes at most. */
  push(piece: Buffer): void {
    const inPlace = piece.buffer === this.#bytes.buffer && piece.byteOffset === this.#bytes.byteOffset + this.#end;
    if (!inPlace) {
      this.#makeRoom();
      this.#bytes.set(piece, this.#end);
    }
    this.#end += piece.length;
    const long = this.#longLine();
    const behind = this.#bytes.lastIndexOf(LF, (long ?? this.#end) - 1) + 1;
    if (behind > this.#start) this.#give(behind);
    if (long !== undefined) throw new CutOff("long_line", `a line has more than ${LONGEST_LINE} bytes`);
  }

  /** Where a line begins that is too long, whether its end is there or not. */
  #longLine(): number | undefined {
    let line = this.#start;
    while (this.#end - line > LONGEST_LINE) {
      const feed = this.#bytes.lastIndexOf(LF, line + LONGEST_LINE - 1);
      if (feed < line) return line;
      line = feed + 1;
    }
    return undefined;
  }

  /** The body is over and whole: a last line without its line feed is a line. */
  end(): void {
    if (this.#end > this.#start) this.push(lineFeed);
  }

  /** The line that waits goes to the front. */
  #makeRoom(): void {
    if (this.#start === ROOM_START) return;
    this.#bytes.copyWithin(ROOM_START, this.#start, this.#end);
    this.#end -= this.#start - ROOM_START;
    this.#start = ROOM_START;
  }

  #give(end: number): void {
    const start = this.#start;
    this.#start = end;
    // Another view each time, so that nobody takes these lines for those that stood here before.
    this.#onLines(this.#bytes.subarray(), start, end);
  }
}

const lineFeed = Buffer.from("\n");
