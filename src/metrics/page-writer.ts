/** Bytes on their way out, collected into blocks that are used again once they are sent. */
export class PageWriter {
  readonly #size: number;
  readonly #free: Buffer[] = [];
  #block: Buffer;
  #length = 0;
  #full: Buffer[] = [];

  /** `size`: of a block, in bytes. */
  constructor(size = 128 * 1024) {
    this.#size = size;
    this.#block = Buffer.allocUnsafeSlow(size);
  }

  append(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (length > this.#block.length - this.#length) this.#turn(length);
    // One copy by the engine; a subarray and `set` cost less than a loop from about 50 bytes on.
    this.#block.set(bytes.subarray(start, end), this.#length);
    this.#length += length;
  }

  text(text: string): void {
    const bytes = Buffer.from(text);
    this.append(bytes, 0, bytes.length);
  }

  /** Everything that was appended since the last call; hand each block back with `recycle` once it is sent. */
  take(): readonly Buffer[] {
    if (this.#length > 0) this.#turn(0);
    const full = this.#full;
    this.#full = [];
    return full;
  }

  recycle(block: Buffer): void {
    const whole = Buffer.from(block.buffer);
    if (whole.length === this.#size && this.#free.length < 4) this.#free.push(whole);
  }

  #turn(needed: number): void {
    if (this.#length > 0) this.#full.push(this.#block.subarray(0, this.#length));
    else if (this.#block.length === this.#size) this.#free.push(this.#block);
    this.#block =
      needed > this.#size ? Buffer.allocUnsafeSlow(needed) : (this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#size));
    this.#length = 0;
  }
}
