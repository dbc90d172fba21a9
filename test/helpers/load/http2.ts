import { type ClientHttp2Session, connect } from "node:http2";
import { type Book, type ConnectionFacts, classify, RequestFailed } from "./book.ts";
import { tlsOptions } from "./http1.ts";
import { type LoadEntry, preciseNow } from "./plan.ts";

/** One client of HTTP/2: one session at a time; after GOAWAY the next request opens another. Nothing is repeated. */
export class Http2Client {
  readonly #entry: LoadEntry;
  readonly #book: Book;
  #session: ClientHttp2Session | undefined;
  #facts: ConnectionFacts = { opened: undefined, requests: 0 };

  constructor(entry: LoadEntry, book: Book) {
    this.#entry = entry;
    this.#book = book;
  }

  async once(): Promise<boolean> {
    const session = this.#usable();
    return this.#book.count(this.#entry, this.#facts, () => this.#request(session));
  }

  end(): void {
    this.#session?.destroy();
  }

  #usable(): ClientHttp2Session {
    if (this.#session !== undefined && !this.#session.closed && !this.#session.destroyed) return this.#session;
    const { host = "127.0.0.1", port, tls } = this.#entry;
    const facts: ConnectionFacts = { opened: undefined, requests: 0 };
    const scheme = tls === undefined ? "http" : "https";
    const session = connect(`${scheme}://${host}:${port}`, tls === undefined ? {} : tlsOptions(tls));
    session.once("connect", () => {
      facts.opened = preciseNow();
      this.#book.connected(this.#entry);
    });
    // A session that nobody asks on may end without harm; with a request on it, the request tells.
    session.on("error", () => undefined);
    session.on("goaway", () => session.close());
    [this.#session, this.#facts] = [session, facts];
    return session;
  }

  #request(session: ClientHttp2Session): Promise<void> {
    const { path = "/", timeout = 10_000, status: wanted = 200 } = this.#entry;
    return new Promise((resolve, reject) => {
      let status: number | undefined;
      let ended = false;
      const timer = setTimeout(() => fail(new RequestFailed("timed-out", `no answer in ${timeout} ms`)), timeout);
      const fail = (error: Error): void => {
        clearTimeout(timer);
        reject(classify(error, status !== undefined));
        stream.destroy();
      };
      // The session's error knows more (ECONNREFUSED) than the stream's.
      const ofSession = (error: Error): void => fail(error);
      session.once("error", ofSession);
      const stream = session.request({ ":path": path });
      stream.on("response", (headers) => {
        status = Number(headers[":status"]);
      });
      stream.on("error", fail);
      stream.on("end", () => {
        ended = true;
      });
      stream.resume();
      stream.once("close", () => {
        clearTimeout(timer);
        session.off("error", ofSession);
        if (status === undefined) reject(new RequestFailed("reset", "the stream ended without an answer"));
        else if (!ended || stream.rstCode !== 0) reject(new RequestFailed("truncated", `RST_STREAM ${stream.rstCode}`));
        else if (status === wanted) resolve();
        else reject(new RequestFailed("wrong-status", String(status)));
      });
    });
  }
}
