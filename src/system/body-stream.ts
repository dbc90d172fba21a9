import { connect, type Socket } from "node:net";
import type { HttpTarget } from "./http-client.ts";
import { BodyFraming, type Head, HeadReader } from "./response-framing.ts";

/** An answer whose head is here and whose body is still to be read. */
export interface BodyStream {
  readonly head: Head;
  /**
   * Reads the body to its end, piece by piece as it comes. A piece is valid only until `take` has returned, or what it
   * returned has resolved (one buffer is used again and again: that halves the cost of a large page), and nothing more
   * is read before that. Rejects when the body is cut off or not HTTP, with what `take` throws, or with the signal's
   * reason.
   */
  read(take: Take, window?: Window): Promise<void>;
  /** Takes what comes from now on, a quarter of a megabyte at most, so that it is here when `read` is called. Once. */
  ahead(): void;
  /** Nothing more of it is wanted; whoever reads it is told that it was cut off. */
  close(): void;
}

/**
 * Where the next bytes may go, so that whoever reads need not copy them; undefined when there is no place just now. It
 * is asked after each piece, in any case, so it must not touch what is not done with.
 */
export type Window = () => Buffer | undefined;

/** Undefined when the piece is done with at once: then the next one is read without a turn of the event loop. */
export type Take = (piece: Buffer) => Promise<void> | undefined;

export interface BodyRequest {
  readonly to: HttpTarget;
  /** Path with query; what can't stand in a request line is refused. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The connection is made at once, the request goes out when this resolves; it must not reject. */
  readonly begin?: Promise<unknown> | undefined;
  /** Closes the connection at any time; the reason reaches whoever waits. */
  readonly signal: AbortSignal;
}

/** One read from the socket at most, for whoever has no window. */
const BUFFER = 64 * 1024;
/** What is read before it is wanted, at most. */
const AHEAD = 256 * 1024;
/** Buffers of connections that are over: new ones for each scrape would make the collector run. */
const spare: Buffer[] = [];
const MOST_SPARE = 4;
const spareAhead: Buffer[] = [];
const MOST_SPARE_AHEAD = 2;

/**
 * GET on a fresh connection over HTTP/1.1; resolves with the head. Rejects with Node's error or with the signal's
 * reason. It is a small client of our own because node:http allocates anew for every 64 kB that it reads, which costs
 * more than all the rest of a scrape.
 */
export async function openBody(request: BodyRequest): Promise<BodyStream> {
  const connection = new Connection(request);
  const heads = new HeadReader();
  let head: Head | undefined;
  try {
    await connection.read((bytes) => {
      head = heads.push(bytes);
      return head === undefined ? undefined : "enough";
    });
    if (head === undefined) throw new Error("the answer was cut off");
    const framing = new BodyFraming(head);
    return {
      head,
      read: (take, window) => readBody(connection, framing, heads.takeRest(), { take, window }),
      ahead: () => connection.readAhead(heads.takeRest()),
      close: () => connection.close(),
    };
  } catch (error) {
    connection.close();
    throw error;
  }
}

async function readBody(
  connection: Connection,
  framing: BodyFraming,
  first: Buffer,
  { take, window }: { readonly take: Take; readonly window: Window | undefined },
): Promise<void> {
  const onBytes = (bytes: Buffer): Promise<void> | "enough" | undefined => {
    const piece = framing.push(bytes);
    const wait = piece.length === 0 ? undefined : take(piece);
    return wait ?? (framing.whole ? "enough" : undefined);
  };
  try {
    await onBytes(first);
    while (!framing.whole) {
      if (!(await connection.read(onBytes, window))) continue;
      if (framing.endsWithConnection) return;
      throw new Error("the answer was cut off");
    }
  } finally {
    connection.close();
  }
}

/** Only when nobody holds a piece any more. */
function giveBack(buffer: Buffer): void {
  if (spare.length < MOST_SPARE) spare.push(buffer);
}

/** Gets bytes that are valid until it returns, or until what it returns resolves; "enough" ends the reading. */
type OnBytes = (bytes: Buffer) => Promise<void> | "enough" | undefined;

interface Reader {
  readonly onBytes: OnBytes;
  readonly resolve: (closed: boolean) => void;
  readonly reject: (error: unknown) => void;
}

/** A connection as a sequence of bytes, in the reader's window or always in the same buffer, at the reader's pace. */
class Connection {
  readonly #socket: Socket;
  readonly #buffer = spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER);
  #window: Window | undefined;
  /** Who reads; undefined while nobody does, or while it has not done with the last bytes. */
  #reader: Reader | undefined;
  /** What came while nobody read: first what is in `#ahead`, then the last piece that it had no place for. */
  #ready: Buffer | undefined;
  #ahead: Buffer | undefined;
  #aheadEnd = 0;
  #over: Error | "closed" | undefined;
  #closing = false;

  constructor({ to, path, headers, begin, signal }: BodyRequest) {
    signal.throwIfAborted();
    if (!/^[\x21-\x7e]+$/.test(path)) throw new Error("the path can't stand in a request");
    const buffer = (): Buffer => this.#window?.() ?? this.#buffer;
    const callback = (size: number, into: Uint8Array): boolean =>
      this.#came(Buffer.from(into.buffer, into.byteOffset, size));
    const place = "socketPath" in to ? { path: to.socketPath } : to;
    this.#socket = connect({ ...place, onread: { buffer, callback } });
    const over = (how: Error | "closed"): void => {
      this.#over ??= how;
      this.#settle();
    };
    const onAbort = (): void => {
      over(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)));
      this.#socket.destroy();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#socket.on("error", over);
    this.#socket.once("end", () => over("closed"));
    this.#socket.once("close", () => {
      signal.removeEventListener("abort", onAbort);
      over("closed");
    });
    const ask = (): void => {
      if (!this.#closing) this.#socket.write(requestText(to, path, headers));
    };
    if (begin === undefined) ask();
    else void begin.then(ask);
  }

  /** Reads until the reader has enough (false) or the other side has closed (true). Throws its error, or the reader's. */
  read(onBytes: OnBytes, window?: Window): Promise<boolean> {
    this.#window = window;
    return new Promise((resolve, reject) => {
      this.#reader = { onBytes, resolve, reject };
      for (let ready = this.#takeReady(); ready !== undefined; ready = this.#takeReady())
        if (!this.#came(ready)) return;
      this.#goOn();
    });
  }

  #takeReady(): Buffer | undefined {
    const end = this.#aheadEnd;
    this.#aheadEnd = -1;
    if (this.#ahead !== undefined && end > 0) return this.#ahead.subarray(0, end);
    const ready = this.#ready;
    this.#ready = undefined;
    return ready;
  }

  /** `first`: what was read already and is not done with; its place is used again. */
  readAhead(first: Buffer): void {
    this.#ahead = spareAhead.pop() ?? Buffer.allocUnsafeSlow(AHEAD);
    this.#aheadEnd = 0;
    this.#keepAhead(first);
    this.#goOn();
  }

  /** Whether there was place for it. */
  #keepAhead(bytes: Buffer): boolean {
    const end = this.#aheadEnd + bytes.length;
    if (this.#ahead === undefined || this.#aheadEnd < 0 || end > AHEAD) return false;
    this.#ahead.set(bytes, this.#aheadEnd);
    this.#aheadEnd = end;
    return true;
  }

  #goOn(): void {
    if (this.#over !== undefined) this.#settle();
    else this.#socket.resume();
  }

  /** Whether more may be read at once. */
  #came(bytes: Buffer): boolean {
    const reader = this.#reader;
    if (reader === undefined) {
      if (this.#keepAhead(bytes)) return true;
      this.#ready = bytes;
      return false;
    }
    try {
      const wait = reader.onBytes(bytes);
      if (wait === undefined) return true;
      this.#reader = undefined;
      if (wait === "enough") reader.resolve(false);
      else wait.then(() => reader.resolve(false), reader.reject);
    } catch (error) {
      this.#reader = undefined;
      reader.reject(error);
    }
    return false;
  }

  #settle(): void {
    const reader = this.#reader;
    this.#reader = undefined;
    if (this.#over === "closed") reader?.resolve(true);
    else reader?.reject(this.#over);
  }

  /** The reader has done with every piece. May be called again. */
  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#socket.destroy();
    this.#aheadEnd = -1;
    if (this.#ahead !== undefined && spareAhead.length < MOST_SPARE_AHEAD) spareAhead.push(this.#ahead);
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
