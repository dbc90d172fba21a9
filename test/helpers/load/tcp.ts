import { createConnection, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type Book, type ConnectionFacts, classify, RequestFailed } from "./book.ts";
import { tlsOptions } from "./http1.ts";
import { type LoadEntry, preciseNow } from "./plan.ts";

/**
 * One client of a long TCP connection to an echo server: a numbered line out, the same line back. A connection that is
 * cut is one failure, with its age; then a new one is opened.
 */
export class TcpClient {
  readonly #entry: LoadEntry;
  readonly #book: Book;
  #socket: Socket | undefined;
  #facts: ConnectionFacts = { opened: undefined, requests: 0 };
  #received = "";
  #onChange: () => void = () => undefined;
  #error: Error | undefined;
  #lines = 0;

  constructor(entry: LoadEntry, book: Book) {
    this.#entry = entry;
    this.#book = book;
  }

  async once(): Promise<boolean> {
    // One that was cut between two lines is still here: the next line fails, a long connection was to last.
    if (this.#socket === undefined) this.#open();
    const good = await this.#book.count(this.#entry, this.#facts, () => this.#echo());
    if (!good) this.end();
    return good;
  }

  end(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #open(): void {
    const { host = "127.0.0.1", port, tls } = this.#entry;
    const socket =
      tls === undefined ? createConnection({ host, port }) : connectTls({ host, port, ...tlsOptions(tls) });
    const facts: ConnectionFacts = { opened: undefined, requests: 0 };
    [this.#socket, this.#facts, this.#received, this.#error] = [socket, facts, "", undefined];
    socket.setNoDelay(true);
    socket.once("connect", () => {
      facts.opened = preciseNow();
      this.#book.connected(this.#entry);
    });
    socket.setEncoding("utf8").on("data", (text: string) => {
      this.#received += text;
      this.#onChange();
    });
    const cut = (error: Error): void => {
      if (this.#socket !== socket) return;
      this.#error ??= error;
      this.#onChange();
    };
    socket.on("error", cut);
    socket.on("close", () => cut(new RequestFailed("reset", "the connection was closed")));
    socket.on("end", () => cut(new RequestFailed("reset", "the connection was closed (FIN)")));
  }

  #echo(): Promise<void> {
    const line = `line ${this.#lines++}\n`;
    const { timeout = 10_000 } = this.#entry;
    return new Promise((resolve, reject) => {
      const finish = (error?: Error): void => {
        clearTimeout(timer);
        this.#onChange = () => undefined;
        if (error === undefined) resolve();
        else reject(classify(error, this.#received.length > 0 && this.#facts.opened !== undefined));
      };
      const timer = setTimeout(() => finish(new RequestFailed("timed-out", `no echo in ${timeout} ms`)), timeout);
      this.#onChange = () => {
        if (this.#received === line) {
          this.#received = "";
          finish();
        } else if (this.#error !== undefined) finish(this.#error);
        else if (!line.startsWith(this.#received)) finish(new RequestFailed("other", `wrong echo ${this.#received}`));
      };
      this.#socket?.write(line);
      this.#onChange();
    });
  }
}
