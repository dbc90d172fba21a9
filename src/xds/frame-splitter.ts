/** What a splitter tells about the messages in a gRPC byte stream. */
export interface SplitterEvents {
  /** A message of `size` bytes begins; `head` are its five bytes. */
  readonly onStart: (size: number, compressed: boolean, head: Buffer) => void;
  readonly onBody: (part: Buffer) => void;
  readonly onEnd: () => void;
}

/** Finds gRPC's message boundaries in a stream of chunks, without keeping a body. */
export class FrameSplitter {
  readonly #events: SplitterEvents;
  #head: Buffer = Buffer.alloc(0);
  #left: number | undefined;

  constructor(events: SplitterEvents) {
    this.#events = events;
  }

  /** Between two messages: whatever is written now is a message of its own. */
  get atBoundary(): boolean {
    return this.#left === undefined && this.#head.length === 0;
  }

  /** Takes up to one message's worth of bytes; the rest of the chunk comes back. */
  take(chunk: Buffer): Buffer {
    if (this.#left === undefined) return this.#takeHead(chunk);
    const part = chunk.subarray(0, this.#left);
    this.#left -= part.length;
    if (part.length > 0) this.#events.onBody(part);
    if (this.#left === 0) this.#end();
    return chunk.subarray(part.length);
  }

  push(chunk: Buffer): void {
    for (let rest = chunk; rest.length > 0; ) rest = this.take(rest);
  }

  #takeHead(chunk: Buffer): Buffer {
    const missing = 5 - this.#head.length;
    this.#head =
      this.#head.length === 0 ? chunk.subarray(0, missing) : Buffer.concat([this.#head, chunk.subarray(0, missing)]);
    if (this.#head.length < 5) {
      this.#head = Buffer.from(this.#head);
      return chunk.subarray(missing);
    }
    const head = Buffer.from(this.#head);
    this.#head = Buffer.alloc(0);
    this.#left = head.readUInt32BE(1);
    this.#events.onStart(this.#left, head[0] !== 0, head);
    if (this.#left === 0) this.#end();
    return chunk.subarray(missing);
  }

  #end(): void {
    this.#left = undefined;
    this.#events.onEnd();
  }
}
