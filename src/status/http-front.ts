import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { errorCode } from "../foundation/errors.ts";
import { guarded } from "../foundation/guarded.ts";
import type { Log } from "../foundation/log.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import { openFilesLimit } from "../system/open-files.ts";
import { Connections, limitsFor } from "./connections.ts";
import type { Peer } from "./peer.ts";
import { discardBody, replyText } from "./respond.ts";

type Socket = IncomingMessage["socket"];

/** Who is at the other end, decided once a connection. */
export interface Caller {
  readonly peer: Peer;
  /** Of this machine: connections are kept in reserve for these. */
  readonly near: boolean;
  /** For the log: an address, or pid and uid. */
  readonly from: string;
}

export interface FrontDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly onBug: (error: unknown) => void;
  readonly callerOf: (socket: Socket) => Caller;
  /** Answers one request; resolves when it is done with it. Errors are its own business: it must not reject. */
  readonly serve: (request: IncomingMessage, response: ServerResponse, caller: Caller) => Promise<void>;
}

/** A header that comes drop by drop, a body that never ends. Short: everybody who asks here is near. */
const HEADERS_WITHIN: Millis = 5_000;
const REQUEST_WITHIN: Millis = 10_000;
/** Longer than the pause between two probes or scrapes of the same client: it, not we, should close first. */
const KEEP_ALIVE: Millis = 90_000;
/** kubelets send tokens in probe headers; nobody needs more than this. */
const HEADER_SIZE = 16_384;
/** Requests that may wait on one connection (pipelining); a client that sends more is cut off. */
const PIPELINE = 16;
/** What is in work when we close may end within this. */
const CLOSE_WITHIN: Millis = 1_000;

interface Line {
  readonly caller: Caller;
  turn: Promise<void>;
  waiting: number;
}

/**
 * A node:http server that slow, endless, huge, broken or many requests can't hold or fill. One request of a connection
 * at a time; the number of connections is bounded (connections.ts), and so is the time of every part of a request.
 */
export class HttpFront {
  readonly server: Server;
  readonly #deps: FrontDeps;
  readonly #book = new Connections<Socket>(limitsFor(openFilesLimit()));
  readonly #lines = new WeakMap<Socket, Line>();
  #closing = false;
  #sweeper: (() => void) | undefined;

  constructor(deps: FrontDeps) {
    this.#deps = deps;
    const { log, onBug } = deps;
    this.server = createServer({
      headersTimeout: HEADERS_WITHIN,
      requestTimeout: REQUEST_WITHIN,
      keepAliveTimeout: KEEP_ALIVE,
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: HEADER_SIZE,
    });
    const onRequest = guarded("status request", log, onBug, (request: IncomingMessage, response: ServerResponse) =>
      this.#onRequest(request, response),
    );
    this.server.on(
      "connection",
      guarded("status connection", log, onBug, (socket: Socket) => this.#onConnection(socket)),
    );
    this.server.on("request", onRequest);
    this.server.on("clientError", (error: Error, socket) => {
      this.#onBroken(error, socket as Socket);
    });
  }

  /** Starts to listen; rejects with Node's error. */
  listen(at: { readonly port: number; readonly host: string } | { readonly path: string }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen("path" in at ? at : { ...at, ipv6Only: false }, () => {
        this.server.off("error", reject);
        this.server.on("error", (error) => this.#deps.log.warn("The status port has a problem", { error }));
        resolve();
      });
    });
  }

  /** Takes nothing new, lets what is in work end for a moment, then cuts it off. Resolves when no socket is left. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#sweeper?.();
    this.#sweeper = undefined;
    if (!this.server.listening) return;
    const closed = new Promise<void>((resolve) => {
      this.server.close(() => resolve());
    });
    for (const socket of this.#book.idle()) socket.destroy();
    const cancel = this.#deps.clock.after(CLOSE_WITHIN, () => {
      this.server.closeAllConnections();
      for (const socket of this.#book.all()) socket.destroy();
    });
    await closed;
    cancel();
  }

  /** Open connections; for tests and the status page. */
  get connections(): number {
    return this.#book.size;
  }

  #onConnection(socket: Socket): void {
    const { clock, callerOf } = this.#deps;
    const caller = callerOf(socket);
    const drop = this.#book.opened(socket, socket.remoteAddress ?? "", caller.near, clock.monotonic());
    drop?.resetAndDestroy();
    if (drop === socket) return;
    this.#lines.set(socket, { caller, turn: Promise.resolve(), waiting: 0 });
    socket.once("close", () => this.#book.closed(socket));
    if (this.#book.crowded) this.#sweepLater();
  }

  #sweepLater(): void {
    if (this.#sweeper !== undefined || this.#closing) return;
    const { clock, log, onBug } = this.#deps;
    const sweep = guarded("status sweep", log, onBug, () => {
      this.#sweeper = undefined;
      for (const socket of this.#book.sweep(clock.monotonic())) socket.resetAndDestroy();
      if (this.#book.crowded) this.#sweepLater();
    });
    this.#sweeper = clock.after(this.#book.grace, sweep);
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const line = this.#lines.get(socket);
    if (line === undefined || line.waiting >= PIPELINE) {
      socket.destroy();
      return;
    }
    line.waiting += 1;
    line.turn = line.turn.then(() => this.#turn(request, response, line));
  }

  async #turn(request: IncomingMessage, response: ServerResponse, line: Line): Promise<void> {
    const { socket } = request;
    const closed = new Promise<void>((resolve) => {
      if (response.closed || socket.destroyed) resolve();
      else response.once("close", resolve);
    });
    if (this.#closing) response.shouldKeepAlive = false;
    // Until its body is in, a request is worth no more than a connection that says nothing.
    const body = await discardBody(request, this.#deps.clock);
    if (!socket.destroyed) {
      this.#book.mark(socket, true, this.#deps.clock.monotonic());
      if (body === "done") await this.#deps.serve(request, response, line.caller);
      else refuseBody(response, body);
    }
    await closed;
    line.waiting -= 1;
    this.#book.mark(socket, false, this.#deps.clock.monotonic());
    if (this.#closing && line.waiting === 0) socket.destroy();
  }

  /** What node:http could not read, or did not get in time. */
  #onBroken(error: Error, socket: Socket): void {
    const line = this.#lines.get(socket);
    if (!socket.writable || errorCode(error) === "ECONNRESET" || line === undefined || line.waiting > 0) {
      socket.destroy();
      return;
    }
    const [status, text] = brokenAnswers[errorCode(error) ?? ""] ?? ["400 Bad Request", "bad request\n"];
    socket.end(
      `HTTP/1.1 ${status}\r\nconnection: close\r\ncache-control: no-store\r\ncontent-type: text/plain; charset=utf-8\r\n` +
        `content-length: ${text.length}\r\n\r\n${text}`,
      () => socket.destroy(),
    );
  }
}

function refuseBody(response: ServerResponse, why: "too-large" | "too-slow"): void {
  response.shouldKeepAlive = false;
  replyText(response, why === "too-large" ? 413 : 408, `the body is ${why.replace("-", " ")}\n`);
}

const brokenAnswers: Readonly<Record<string, readonly [string, string]>> = {
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "the headers are too large\n"],
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "the request took too long\n"],
};
