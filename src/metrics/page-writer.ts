/** Ranges from this size on are handed out as they stand, without a copy. */
export const BORROWED_FROM = 8 * 1024;

/**
 * Bytes on their way out: small pieces are collected in one block, large ranges are borrowed from whoever has them.
 * So everything that `take` gives must be sent before more is appended and before a borrowed buffer is used again.
 */
export class PageWriter {
  readonly #block: Buffer;
  #length = 0;
  /** From here on the block is not handed out yet. */
  #open = 0;
  #out: Uint8Array[] = [];

  /** `size`: of the block, in bytes. */
  constructor(size = 32 * 1024) {
    this.#block = Buffer.allocUnsafeSlow(size);
  }

  append(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (length >= BORROWED_FROM) {
      this.#close();
      this.#out.push(bytes.subarray(start, end));
    } else if (length > this.#block.length - this.#length) {
      // More small pieces than the block holds: they pay for a copy of their own.
      this.#close();
      this.#out.push(Buffer.from(bytes.subarray(start, end)));
    } else {
      this.#block.set(bytes.subarray(start, end), this.#length);
      this.#length += length;
    }
  }

  text(text: string): void {
    const bytes = Buffer.from(text);
    this.append(bytes, 0, bytes.length);
  }

  /** Everything that was appended since the last call. */
  take(): readonly Uint8Array[] {
    this.#close();
    const out = this.#out;
    this.#out = [];
    this.#length = 0;
    this.#open = 0;
    return out;
  }

  #close(): void {
    if (this.#length > this.#open) this.#out.push(this.#block.subarray(this.#open, this.#length));
    this.#open = this.#length;
  }
}
