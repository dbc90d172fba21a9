import type { ServerResponse } from "node:http";
import type { Writable } from "node:stream";
import { constants, createGzip, createZstdCompress, type Gzip, type ZstdCompress } from "node:zlib";
import type { Coding } from "./negotiate.ts";
import type { PageWriter } from "./page-writer.ts";

/** What is read at once, and some headings. */
const LARGEST_COPY = 1280 * 1024;

/** The way of a page to the scraper: blocks out of the writer, compressed when asked, at the scraper's pace. */
export class PageOutput {
  readonly #response: ServerResponse;
  readonly #compressor: Gzip | ZstdCompress | undefined;
  readonly #writer: PageWriter;
  readonly #flushKind: number;
  #failed: Error | undefined;
  #closed = false;
  /** Wakes whoever waits for what nobody will take any more. */
  #gone: () => void = () => undefined;
  /** What the compressor works on, in a thread of its own, while the next pieces are read. */
  #compressing: Promise<void> = Promise.resolve();
  #copy: Buffer = Buffer.alloc(0);

  constructor(response: ServerResponse, coding: Coding, writer: PageWriter) {
    this.#response = response;
    this.#writer = writer;
    this.#compressor = compressorOf(coding);
    this.#flushKind = coding === "zstd" ? constants.ZSTD_e_flush : constants.Z_SYNC_FLUSH;
    const fail = (error: Error): void => {
      this.#failed ??= error;
    };
    response.on("error", fail);
    // A compressor whose reader is gone would keep its writer waiting for ever.
    response.once("close", () => {
      this.#closed = true;
      this.#gone();
    });
    this.#compressor?.on("error", fail);
    this.#compressor?.pipe(response);
  }

  /**
   * Sends what was written since the last call. Undefined when all of it is on its way and the buffers may be used again,
   * else a promise of that. Throws, or rejects, when nobody listens any more.
   */
  flush(signal: AbortSignal): Promise<void> | undefined {
    const blocks = this.#writer.take();
    const wait = blocks.length === 0 ? undefined : this.#send(blocks, signal);
    if (wait !== undefined) return wait.then(() => this.#check(signal));
    this.#check(signal);
    return undefined;
  }

  #send(blocks: readonly Uint8Array[], signal: AbortSignal): Promise<void> | undefined {
    if (this.#compressor === undefined) return this.#sent(this.#response, blocks, signal);
    return this.#compressed(this.#compressor, blocks, signal);
  }

  /** One piece is compressed at a time, from a copy, so that the buffers are free at once. */
  async #compressed(compressor: Writable, blocks: readonly Uint8Array[], signal: AbortSignal): Promise<void> {
    await this.#compressing;
    const length = blocks.reduce((sum, block) => sum + block.length, 0);
    if (length > LARGEST_COPY) return this.#sent(compressor, blocks, signal);
    if (this.#copy.length < length) this.#copy = Buffer.allocUnsafeSlow(Math.min(LARGEST_COPY, length * 2));
    let at = 0;
    for (const block of blocks) {
      this.#copy.set(block, at);
      at += block.length;
    }
    this.#compressing = this.#sent(compressor, [this.#copy.subarray(0, length)], signal) ?? Promise.resolve();
  }

  #sent(into: Writable, blocks: readonly Uint8Array[], signal: AbortSignal): Promise<void> | undefined {
    if (this.#closed || signal.aborted) return undefined;
    let done = false;
    let wake = (): void => undefined;
    const last = blocks.length - 1;
    // All in one call of the kernel, and now: left alone, the response would wait for the next turn.
    const socket = into === this.#response ? this.#response.socket : null;
    socket?.cork();
    for (let i = 0; i < last; i++) into.write(blocks[i]);
    into.write(blocks[last], () => {
      done = true;
      wake();
    });
    socket?.uncork();
    // The kernel took it all: nobody looks at the buffers any more.
    if (socket !== null && socket.writableLength === 0) return undefined;
    return new Promise((resolve) => {
      if (done || this.#closed) return resolve();
      // Its own, not whatever was sent before and is told later.
      wake = resolve;
      this.#gone = resolve;
    });
  }

  /** What is compressed so far goes out at once: the scraper sees the first bytes early. */
  push(): void {
    // The number that means "flush" in zlib means "end the frame" in zstd.
    if (this.#compressor !== undefined) this.#compressor.flush(this.#flushKind);
  }

  /** Sends the rest, and says that it was all; in one call of the kernel when nothing is compressed. */
  async end(signal: AbortSignal): Promise<void> {
    this.#check(signal);
    if (this.#compressor !== undefined) await this.flush(signal);
    else {
      this.#response.socket?.cork();
      for (const block of this.#writer.take()) this.#response.write(block);
    }
    await new Promise<void>((resolve) => {
      this.#response.once("close", resolve);
      this.#response.once("finish", resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
      // It uncorks.
      (this.#compressor ?? this.#response).end();
    });
    // Whoever closes as soon as the last byte is there has the page.
    if (!this.#response.writableFinished) this.#check(signal);
  }

  /** The page can't be finished: the connection is cut, so that nobody takes it for whole. */
  destroy(): void {
    this.#compressor?.destroy();
    this.#response.destroy();
  }

  #check(signal: AbortSignal): void {
    if (this.#failed !== undefined) throw this.#failed;
    signal.throwIfAborted();
  }
}

/** Level 1 of both: a page repeats itself so much that higher levels cost far more than they save. */
function compressorOf(coding: Coding): Gzip | ZstdCompress | undefined {
  if (coding === "gzip") return createGzip({ level: 1, chunkSize: 64 * 1024 });
  if (coding !== "zstd") return undefined;
  return createZstdCompress({ chunkSize: 64 * 1024, params: { [constants.ZSTD_c_compressionLevel]: 1 } });
}
