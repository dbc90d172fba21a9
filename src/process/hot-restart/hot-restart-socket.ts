import type { DatagramSocket, DatagramSockets, SendResult } from "../../system/datagram-sockets.ts";
import { decodeMessage, type HotRestartMessage, MessageAssembler } from "./message.ts";
import type { Place } from "./names.ts";

/** Between two tries when the receiver has too many datagrams waiting. */
const TRY_AGAIN_AFTER = 5;
/** A receiver that takes nothing for a second hangs. */
const MOST_TRIES = 200;

interface Outgoing {
  readonly to: string;
  readonly bytes: Buffer;
  readonly descriptors: readonly number[];
  tries: number;
}

/**
 * A socket under one of Envoy's hot-restart names that speaks in messages. What it cannot read it throws away; no
 * descriptor is ever leaked.
 */
export class HotRestartSocket {
  readonly #place: Place;
  readonly #sockets: DatagramSockets;
  readonly #socket: DatagramSocket;
  readonly #assembler = new MessageAssembler();
  readonly #onMessage: (message: HotRestartMessage, descriptors: readonly number[]) => void;
  #outbox: Outgoing[] = [];
  #cancelRetry: (() => void) | undefined;

  /** Binds `path`. `onMessage` owns the descriptors that it gets. Throws Unavailable when the name can't be had. */
  constructor(
    sockets: DatagramSockets,
    path: string,
    place: Place,
    onMessage: (message: HotRestartMessage, descriptors: readonly number[]) => void,
  ) {
    this.#sockets = sockets;
    this.#place = place;
    this.#onMessage = onMessage;
    this.#socket = sockets.bind(path, {
      clock: place.clock,
      onDatagram: ({ bytes, descriptors }) => this.#receive(bytes, descriptors),
      onError: (error) => place.log.error("internal error", { where: "hot-restart socket", error }),
    });
  }

  get path(): string {
    return this.#socket.path;
  }

  /** Sends a message; datagrams that the receiver has no room for are tried again for a second. */
  send(to: string, parts: readonly Buffer[], descriptors: readonly number[] = []): SendResult {
    const last = this.#outbox.length;
    parts.forEach((bytes, index) => {
      this.#outbox.push({ to, bytes, descriptors: index === 0 ? descriptors : [], tries: 0 });
    });
    return last === 0 ? this.#flush() : "full";
  }

  close(options?: { readonly leaveFile?: boolean }): void {
    this.#cancelRetry?.();
    this.#outbox = [];
    this.#socket.close(options);
    for (const one of this.#assembler.abandon()) this.#sockets.closeDescriptor(one);
  }

  #flush(): SendResult {
    for (let next = this.#outbox[0]; next !== undefined; next = this.#outbox[0]) {
      const result = this.#socket.sendTo(next.to, next.bytes, next.descriptors);
      if (result === "full" && next.tries++ < MOST_TRIES) {
        this.#cancelRetry = this.#place.clock.after(TRY_AGAIN_AFTER, () => this.#flush());
        return result;
      }
      if (result !== "sent") {
        // The rest of a message without its beginning would be garbage.
        this.#outbox = [];
        return result;
      }
      this.#outbox.shift();
    }
    return "sent";
  }

  #receive(bytes: Buffer, descriptors: readonly number[]): void {
    const assembled = this.#assembler.add(bytes, descriptors);
    if (assembled === undefined) return;
    const message = assembled.kind === "message" ? decodeMessage(assembled.body) : undefined;
    if (message === undefined) {
      for (const one of assembled.descriptors) this.#sockets.closeDescriptor(one);
      const why = assembled.kind === "garbage" ? assembled.why : "no message of a hot restart";
      this.#place.log.warn("Threw away what came to a hot-restart socket", { socket: this.path, why });
      return;
    }
    this.#onMessage(message, assembled.descriptors);
  }
}
