import { describeError } from "../../foundation/errors.ts";
import type { Millis } from "../../foundation/time.ts";
import type { DatagramSockets } from "../../system/datagram-sockets.ts";
import { HotRestartSocket } from "./hot-restart-socket.ts";
import { encodeRequest, type HotRestartMessage, type HotRestartReply, type HotRestartRequest } from "./message.ts";
import { type Place, socketName } from "./names.ts";

export type Asked<T> = T | "no-answer" | "nobody" | "forbidden";

interface Reply {
  readonly reply: HotRestartReply | undefined;
  readonly descriptors: readonly number[];
}

/**
 * Asks a running Envoy one thing at a time, under the name of its next child. While it exists no such child may be
 * started. An answer that comes too late is taken all the same: Envoy would die if nobody took it.
 */
export class Asker {
  readonly #sockets: DatagramSockets;
  readonly #place: Place;
  readonly #socket: HotRestartSocket;
  #waiting: ((reply: Reply) => void) | undefined;
  #onLate: () => void = () => undefined;

  private constructor(sockets: DatagramSockets, place: Place) {
    this.#sockets = sockets;
    this.#place = place;
    const name = socketName(place, "child", place.epoch + 1);
    this.#socket = new HotRestartSocket(sockets, name, place, (message, some) => this.#receive(message, some));
  }

  /** `place`: the Envoy that is asked. */
  static open(sockets: DatagramSockets, place: Place): Asker | { readonly why: string } {
    try {
      return new Asker(sockets, place);
    } catch (error) {
      return { why: describeError(error) };
    }
  }

  /** A listen socket; without a descriptor when Envoy has none or when it is not a listening one. */
  async askForSocket(
    address: string,
    worker: number,
    limit: Millis,
  ): Promise<Asked<{ readonly descriptor: number | undefined }>> {
    const answer = await this.#ask({ ask: "pass-listen-socket", address, worker, namespace: "" }, limit);
    if (typeof answer === "string") return answer;
    const [first, ...rest] = answer.descriptors;
    const usable = first !== undefined && this.#sockets.isListening(first);
    for (const one of usable ? rest : answer.descriptors) this.#sockets.closeDescriptor(one);
    return { descriptor: usable ? first : undefined };
  }

  /** Tells it to close its admin, and waits until it has. */
  async askToShutAdmin(limit: Millis): Promise<Asked<"done">> {
    const answer = await this.#ask({ ask: "shutdown-admin" }, limit);
    if (typeof answer === "string") return answer;
    this.#closeAll(answer);
    return "done";
  }

  /** Called once when the answer to a request that had no answer in time has come. */
  onLateAnswer(then: () => void): void {
    this.#onLate = then;
  }

  close(): void {
    this.#socket.close();
    this.#waiting?.({ reply: undefined, descriptors: [] });
  }

  #ask(request: HotRestartRequest, limit: Millis): Promise<Asked<Reply>> {
    const sent = this.#socket.send(socketName(this.#place, "parent", this.#place.epoch), encodeRequest(request));
    if (sent === "nobody" || sent === "forbidden") return Promise.resolve(sent);
    return new Promise((resolve) => {
      const cancel = this.#place.clock.after(limit, () => {
        this.#waiting = (late) => {
          this.#waiting = undefined;
          this.#closeAll(late);
          this.#onLate();
        };
        resolve("no-answer");
      });
      this.#waiting = (reply) => {
        this.#waiting = undefined;
        cancel();
        resolve(reply);
      };
    });
  }

  #receive(message: HotRestartMessage, descriptors: readonly number[]): void {
    const reply = message.is === "reply" ? message.reply : undefined;
    if (this.#waiting === undefined) this.#closeAll({ reply, descriptors });
    else this.#waiting({ reply, descriptors });
  }

  #closeAll(reply: Reply): void {
    for (const one of reply.descriptors) this.#sockets.closeDescriptor(one);
  }
}
