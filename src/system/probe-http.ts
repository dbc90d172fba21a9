import { type IncomingMessage, request } from "node:http";
import type { ClientHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { dialProbe, type ProbeDial } from "./probe-connection.ts";

export interface ProbeGet {
  readonly dial: Omit<ProbeDial, "signal">;
  readonly scheme: "http" | "https";
  /** Offer HTTP/2 (over TLS only, where both sides can choose). */
  readonly http2: boolean;
  readonly path: string;
  /** Host or :authority. */
  readonly host: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** So much of the body is read, the rest is left. */
  readonly bodyLimit: number;
  readonly signal: AbortSignal;
}

export interface ProbeAnswer {
  readonly status: number;
  readonly location: string | undefined;
  readonly body: Buffer;
}

/** A connection that an answer left usable. */
type Kept =
  | { readonly is: "http1"; readonly socket: Socket }
  | {
      readonly is: "http2";
      readonly socket: Socket;
      readonly session: ClientHttp2Session;
      readonly get: (what: ProbeGet) => Promise<Exchanged>;
    };

/** The largest head of an answer that is read. */
const HEADER_SIZE = 256 * 1024;

/**
 * GET requests for probes. Each on a connection of its own, as the kubelet's, or with `keepAlive` on one that the last
 * one to the same place left. As lenient as Go's client about what servers send: applications are healthy that
 * node:http's strict reading would refuse.
 */
export class ProbeClient {
  readonly #keepAlive: boolean;
  readonly #kept = new Map<string, Kept>();

  constructor(keepAlive: boolean) {
    this.#keepAlive = keepAlive;
  }

  /** Rejects when there is no connection, no answer, or the signal says stop. */
  async get(what: ProbeGet): Promise<ProbeAnswer> {
    const key = `${what.scheme} ${what.dial.host} ${what.dial.port}`;
    const kept = this.#take(key);
    if (kept !== undefined) {
      try {
        return await this.#exchange(what, kept, key);
      } catch {
        // It may have been closed the moment we used it; a fresh one tells.
        what.signal.throwIfAborted();
      }
    }
    return this.#exchange(what, await open(what), key);
  }

  close(): void {
    for (const { socket } of this.#kept.values()) socket.destroy();
    this.#kept.clear();
  }

  #take(key: string): Kept | undefined {
    const kept = this.#kept.get(key);
    this.#kept.delete(key);
    return kept === undefined || kept.socket.destroyed ? undefined : kept;
  }

  async #exchange(what: ProbeGet, on: Kept, key: string): Promise<ProbeAnswer> {
    const onAbort = () => on.socket.destroy(what.signal.reason as Error);
    what.signal.addEventListener("abort", onAbort);
    try {
      const { answer, reusable } = await (on.is === "http2"
        ? on.get(what)
        : getHttp1(what, on.socket, this.#keepAlive));
      if (this.#keepAlive && reusable && !on.socket.destroyed) this.#kept.set(key, on);
      else close(on);
      return answer;
    } catch (error) {
      close(on);
      throw what.signal.aborted ? what.signal.reason : error;
    } finally {
      what.signal.removeEventListener("abort", onAbort);
    }
  }
}

async function open(what: ProbeGet): Promise<Kept> {
  const { signal } = what;
  const plain = await dialProbe({ ...what.dial, signal });
  plain.on("error", () => undefined);
  if (what.scheme === "http") return { is: "http1", socket: plain };
  // TLS and HTTP/2 are 10 MB: only a pod that is probed so pays for them.
  const { getHttp2, openSession, secureProbe } = await import("./probe-secure.ts");
  const { socket, http2 } = await secureProbe(plain, what.http2, signal);
  socket.on("error", () => undefined);
  if (!http2) return { is: "http1", socket };
  const session = openSession(what.host, socket);
  return { is: "http2", socket, session, get: (later) => getHttp2(later, session) };
}

function close(on: Kept): void {
  if (on.is === "http2") on.session.destroy();
  on.socket.destroy();
}

export interface Exchanged {
  readonly answer: ProbeAnswer;
  readonly reusable: boolean;
}

function getHttp1(what: ProbeGet, socket: Socket, keepAlive: boolean): Promise<Exchanged> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      createConnection: () => socket,
      method: "GET",
      path: what.path,
      setHost: false,
      headers: ["Host", what.host, ...what.headers.flat(), "Connection", keepAlive ? "keep-alive" : "close"],
      insecureHTTPParser: true,
      maxHeaderSize: HEADER_SIZE,
    });
    // Without an agent node:http takes every connection for the last one.
    outgoing.shouldKeepAlive = keepAlive;
    outgoing.on("error", reject);
    let answered = false;
    outgoing.once("close", () => {
      if (!answered) reject(new Error("the connection was closed without an answer"));
    });
    outgoing.once("response", (incoming) => {
      answered = true;
      readBody(incoming, what.bodyLimit).then((body) => {
        const { statusCode: status = 0, headers } = incoming;
        const reusable =
          incoming.complete && headers.connection?.toLowerCase() !== "close" && incoming.httpVersion === "1.1";
        resolve({ answer: { status, location: headers.location, body }, reusable });
      }, reject);
    });
    outgoing.end();
  });
}

/** Up to `limit` bytes; more is left unread, less than announced is an error. */
async function readBody(incoming: IncomingMessage, limit: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of incoming as AsyncIterable<Buffer>) {
    parts.push(part);
    size += part.length;
    if (size > limit) break;
  }
  return Buffer.concat(parts, size).subarray(0, limit);
}
