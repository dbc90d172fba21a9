import { readFileSync } from "node:fs";
import { Agent, type ClientRequest, type IncomingMessage, request as plainRequest } from "node:http";
import { Agent as TlsAgent, request as tlsRequest } from "node:https";
import type { Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import { type Book, type ConnectionFacts, classify, RequestFailed } from "./book.ts";
import { type LoadEntry, type LoadTls, preciseNow } from "./plan.ts";

/** What Node's TLS clients need; the chain is always checked. */
export const tlsOptions = (tls: LoadTls): ConnectionOptions => ({
  ca: readFileSync(tls.ca),
  servername: tls.serverName,
  ...(tls.certificate === undefined ? {} : { cert: readFileSync(tls.certificate) }),
  ...(tls.key === undefined ? {} : { key: readFileSync(tls.key) }),
  ...(tls.anyName === true ? { checkServerIdentity: () => undefined } : {}),
});

/** One client of HTTP/1.1. Node repeats nothing by itself: an error of a used connection is an error here. */
export class Http1Client {
  readonly #entry: LoadEntry;
  readonly #book: Book;
  readonly #agent: Agent;
  readonly #connections = new WeakMap<Socket, ConnectionFacts>();

  constructor(entry: LoadEntry, book: Book) {
    this.#entry = entry;
    this.#book = book;
    const options = { keepAlive: entry.kind === "keep-alive", maxSockets: 1 };
    this.#agent = entry.tls === undefined ? new Agent(options) : new TlsAgent({ ...options, ...tlsOptions(entry.tls) });
  }

  async once(): Promise<boolean> {
    const facts: ConnectionFacts = { opened: undefined, requests: 0 };
    return this.#book.count(this.#entry, facts, () => this.#request(facts));
  }

  end(): void {
    this.#agent.destroy();
  }

  #request(facts: ConnectionFacts): Promise<void> {
    const { host = "127.0.0.1", port, path = "/", kind, tls, timeout = 10_000 } = this.#entry;
    const headers = kind === "keep-alive" ? {} : { connection: "close" };
    const options = { host, port, path, headers, agent: this.#agent, method: "GET" };
    return new Promise((resolve, reject) => {
      const outgoing = (tls === undefined ? plainRequest : tlsRequest)(options);
      let incoming: IncomingMessage | undefined;
      const timer = setTimeout(() => fail(new RequestFailed("timed-out", `no answer in ${timeout} ms`)), timeout);
      const fail = (error: Error): void => {
        clearTimeout(timer);
        reject(classify(error, incoming !== undefined));
        outgoing.destroy();
      };
      outgoing.on("error", fail);
      outgoing.once("socket", (socket) => this.#remember(socket, outgoing, facts));
      outgoing.once("response", (response) => {
        incoming = response;
        response.on("error", fail);
        response.resume();
        response.once("end", () => {
          clearTimeout(timer);
          const wanted = this.#entry.status ?? 200;
          if (!response.complete) reject(new RequestFailed("truncated", "the answer is not whole"));
          else if (response.statusCode === wanted) resolve();
          else reject(new RequestFailed("wrong-status", String(response.statusCode)));
        });
      });
      outgoing.end();
    });
  }

  /** The facts of this request become those of its connection. */
  #remember(socket: Socket, outgoing: ClientRequest, facts: ConnectionFacts): void {
    const known = this.#connections.get(socket);
    if (outgoing.reusedSocket && known !== undefined) {
      Object.assign(facts, known);
      known.requests += 1;
      return;
    }
    socket.once("connect", () => {
      facts.opened = preciseNow();
      this.#book.connected(this.#entry);
      this.#connections.set(socket, { opened: facts.opened, requests: 1 });
    });
  }
}
