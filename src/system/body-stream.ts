import { connect, type Socket } from "node:net";
import type { HttpTarget } from "./http-client.ts";
import { BodyFraming, type Head, HeadReader } from "./response-framing.ts";

/** An answer whose head is here and whose body is still to be read. */
export interface BodyStream {
  readonly head: Head;
  /**
   * Reads the body to its end, piece by piece as it comes. A piece is valid only until `take` has resolved (one buffer
   * is used again and again: that halves the cost of a large page), and nothing more is read before that. Rejects when
   * the body is cut off or not HTTP, with what `take` throws, or with the signal's reason.
   */
  read(take: (piece: Buffer) => Promise<void>): Promise<void>;
}

export interface BodyRequest {
  readonly to: HttpTarget;
  /** Path with query; what can't stand in a request line is refused. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Closes the connection at any time; the reason reaches whoever waits. */
  readonly signal: AbortSignal;
}

/** One read from the socket at most; larger ones are slower, since they fall out of the processor's cache. */
const BUFFER = 128 * 1024;
/** Buffers of connections that are over: new ones for each scrape would make the collector run. */
const spare: Buffer[] = [];
const MOST_SPARE = 4;

/**
 * GET on a fresh connection over HTTP/1.1; resolves with the head. Rejects with Node's error or with the signal's
 * reason. It is a small client of our own because node:http allocates anew for every 64 kB that it reads, which costs
 * more than all the rest of a scrape.
 */
export async function openBody(request: BodyRequest): Promise<BodyStream> {
  const bytes = new ByteReader(request);
  const heads = new HeadReader();
  for (;;) {
    const some = await bytes.next();
    if (some === undefined) throw new Error("the answer was cut off");
    const head = heads.push(some);
    if (head === undefined) continue;
    const framing = new BodyFraming(head);
    return { head, read: (take) => readBody(bytes, framing, heads.rest, take) };
  }
}

async function readBody(
  bytes: ByteReader,
  framing: BodyFraming,
  first: Buffer,
  take: (piece: Buffer) => Promise<void>,
): Promise<void> {
  try {
    let some: Buffer | undefined = first;
    for (;;) {
      for (const piece of framing.push(some)) await take(piece);
      if (framing.whole) return;
      some = await bytes.next();
      if (some !== undefined) continue;
      if (framing.endsWithConnection) return;
      throw new Error("the answer was cut off");
    }
  } finally {
    bytes.close();
  }
}

/** Only when nobody holds a piece any more. */
function giveBack(buffer: Buffer): void {
  if (spare.length < MOST_SPARE) spare.push(buffer);
}

/** A connection as a sequence of bytes, all in the same buffer, at the pace of whoever asks. */
class ByteReader {
  readonly #socket: Socket;
  readonly #buffer = spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER);
  #ready: Buffer | undefined;
  #over: Error | "closed" | undefined;
  #wake: () => void = () => undefined;

  constructor({ to, path, headers, signal }: BodyRequest) {
    signal.throwIfAborted();
    if (!/^[\x21-\x7e]+$/.test(path)) throw new Error("the path can't stand in a request");
    const buffer = this.#buffer;
    const callback = (size: number): boolean => {
      this.#ready = buffer.subarray(0, size);
      this.#wake();
      return false;
    };
    const place = "socketPath" in to ? { path: to.socketPath } : to;
    this.#socket = connect({ ...place, onread: { buffer, callback } });
    const over = (how: Error | "closed") => (): void => {
      this.#over ??= how;
      this.#wake();
    };
    const onAbort = (): void => {
      over(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)))();
      this.#socket.destroy();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#socket.on("error", (error) => over(error)());
    this.#socket.once("end", over("closed"));
    this.#socket.once("close", () => {
      signal.removeEventListener("abort", onAbort);
      over("closed")();
    });
    this.#socket.write(requestText(to, path, headers));
  }

  /** The next bytes, valid until the next call; undefined when the other side has closed. Throws its error. */
  async next(): Promise<Buffer | undefined> {
    for (;;) {
      const ready = this.#ready;
      this.#ready = undefined;
      if (ready !== undefined) return ready;
      if (this.#over === "closed") return undefined;
      if (this.#over !== undefined) throw this.#over;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#socket.resume();
      });
    }
  }

  /** The reader has done with every piece. */
  close(): void {
    this.#socket.destroy();
    // Not before the socket is really closed: until then a read may still be on its way into the buffer.
    if (this.#socket.closed) giveBack(this.#buffer);
    else this.#socket.once("close", () => giveBack(this.#buffer));
  }
}

function requestText(to: HttpTarget, path: string, headers: Readonly<Record<string, string>>): string {
  const host = "socketPath" in to ? "localhost" : `${to.host.includes(":") ? `[${to.host}]` : to.host}:${to.port}`;
  const lines = Object.entries({ host, connection: "close", ...headers });
  return `GET ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
}
