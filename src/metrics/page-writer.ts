/** Ranges from this size on are handed out as they stand, without a copy. */
const BORROWED_FROM = 8 * 1024;
const BLOCK = 64 * 1024;

/**
 * Bytes on their way out: small pieces are collected in blocks, large ranges are borrowed from whoever has them, and
 * ranges that follow each other in the same buffer become one. So what was appended must stay as it is, and all that
 * `take` gives must be sent before more is appended.
 */
export class PageWriter {
  /** Used again after each `take`; nearly always one is enough. */
  readonly #blocks: Buffer[] = [];
  #current = 0;
  /** Of the current block: what is written, and what of that is not handed out yet. */
  #length = 0;
  #open = 0;
  #out: Uint8Array[] = [];
  /** The range that may still grow. */
  #range: Uint8Array | undefined;
  #start = 0;
  #end = 0;

  append(bytes: Uint8Array, start: number, end: number): void {
    if (bytes === this.#range && start === this.#end) {
      this.#end = end;
      return;
    }
    this.#settle();
    this.#range = bytes;
    this.#start = start;
    this.#end = end;
  }

  text(text: string): void {
    this.#settle();
    // A letter becomes three bytes at most.
    if (text.length * 3 <= BLOCK) {
      const block = this.#room(text.length * 3);
      this.#length += block.write(text, this.#length);
    } else {
      this.#close();
      this.#out.push(Buffer.from(text));
    }
  }

  /** Everything that was appended since the last call. */
  take(): readonly Uint8Array[] {
    this.#settle();
    this.#close();
    const out = this.#out;
    this.#out = [];
    this.#current = 0;
    this.#length = 0;
    this.#open = 0;
    return out;
  }

  /** The range does not grow any more. */
  #settle(): void {
    const range = this.#range;
    if (range === undefined) return;
    this.#range = undefined;
    const part = range.subarray(this.#start, this.#end);
    if (part.length >= BORROWED_FROM) {
      this.#close();
      this.#out.push(part);
    } else {
      this.#room(part.length).set(part, this.#length);
      this.#length += part.length;
    }
  }

  /** The block in which that many bytes more have room. */
  #room(bytes: number): Buffer {
    if (this.#length + bytes > BLOCK) {
      this.#close();
      this.#current++;
      this.#length = 0;
      this.#open = 0;
    }
    const known = this.#blocks[this.#current];
    if (known !== undefined) return known;
    const block = Buffer.allocUnsafeSlow(BLOCK);
    this.#blocks.push(block);
    return block;
  }

  #close(): void {
    const block = this.#blocks[this.#current];
    if (block !== undefined && this.#length > this.#open) this.#out.push(block.subarray(this.#open, this.#length));
    this.#open = this.#length;
  }
}
