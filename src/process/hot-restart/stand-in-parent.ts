import type { DatagramSockets, SendResult } from "../../system/datagram-sockets.ts";
import { HotRestartSocket } from "./hot-restart-socket.ts";
import type { KeptSockets, SocketKey } from "./kept-sockets.ts";
import {
  encodeNotRecognized,
  encodeReply,
  type HotRestartMessage,
  type HotRestartReply,
  type HotRestartRequest,
} from "./message.ts";
import { type Place, socketName } from "./names.ts";

/** What the child asked of us, in its words. */
export type ChildAsked =
  | {
      readonly what: "pass-listen-socket";
      readonly key: SocketKey;
      /** False: we have none, the child binds its own. */
      readonly handedOver: boolean;
    }
  | { readonly what: Exclude<HotRestartRequest["ask"], "pass-listen-socket"> | "unknown" };

export interface StandInParentOptions {
  /** Sockets to hand over; without them the child binds its own. */
  readonly kept?: KeptSockets;
  /** When the first epoch began, in seconds of the calendar: the child's uptime over all epochs. Now, unless said. */
  readonly startedAtSeconds?: number;
  readonly onAsked?: (asked: ChildAsked) => void;
  /** The child wants its parent gone: it will never ask again. Called once, after `onAsked`. */
  readonly onTerminate?: () => void;
}

/**
 * Answers in the place of a dead Envoy, so that its child neither aborts (10 s after its next question) nor waits for
 * ever; with kept sockets it lets a new epoch start as if the dead one still served (hot-restart.md 3, 10, 11).
 *
 * Close it after Terminate, and before the next exec: names come back every third epoch.
 */
export class StandInParent {
  readonly #place: Place;
  readonly #options: StandInParentOptions;
  readonly #sockets: DatagramSockets;
  readonly #socket: HotRestartSocket;
  readonly #claimed: SocketKey[] = [];
  #terminated = false;

  /**
   * Binds at once, in the same turn. `place.epoch` is the dead parent's. Throws Unavailable when that parent is not
   * dead (its socket is still bound) or when the directory does not allow it.
   */
  constructor(sockets: DatagramSockets, place: Place, options: StandInParentOptions = {}) {
    this.#sockets = sockets;
    this.#place = place;
    this.#options = options;
    const name = socketName(place, "parent", place.epoch);
    this.#socket = new HotRestartSocket(sockets, name, place, (message, some) => this.#receive(message, some));
  }

  /** Sockets that the child has taken over. */
  get claimed(): readonly SocketKey[] {
    return this.#claimed;
  }

  /** The child has sent Terminate. */
  get terminated(): boolean {
    return this.#terminated;
  }

  /**
   * Frees a child whose question went to a parent that hung and is dead now: one empty stats reply that it waits for.
   * Only for a child that is LIVE (all it asks then is stats): while it initializes the reply would be taken for
   * another one.
   */
  freeChild(): SendResult {
    return this.#socket.send(this.#child(), encodeReply({ answer: "stats" }));
  }

  /** Idempotent. A child that still asks then retries for ten seconds, as with a dead parent. */
  close(): void {
    this.#socket.close({ leaveFile: !this.#terminated });
  }

  #child(): string {
    return socketName(this.#place, "child", this.#place.epoch + 1);
  }

  #receive(message: HotRestartMessage, descriptors: readonly number[]): void {
    for (const one of descriptors) this.#sockets.closeDescriptor(one);
    if (message.is === "request") this.#answer(message.request);
    else if (message.is === "unknown") {
      this.#socket.send(this.#child(), encodeNotRecognized());
      this.#options.onAsked?.({ what: "unknown" });
    }
  }

  #answer(request: HotRestartRequest): void {
    switch (request.ask) {
      case "pass-listen-socket":
        return this.#passSocket(request);
      case "shutdown-admin":
        this.#reply({ answer: "shutdown-admin", startedAtSeconds: this.#startedAt(), reusePortByDefault: true });
        break;
      case "stats":
        this.#reply({ answer: "stats" });
        break;
      case "drain-listeners":
      case "terminate":
      case "forwarded-udp":
      case "test-connection":
        // Envoy waits for no answer to these.
        break;
    }
    this.#options.onAsked?.({ what: request.ask });
    if (request.ask === "terminate" && !this.#terminated) {
      this.#terminated = true;
      this.#options.onTerminate?.();
    }
  }

  #passSocket(request: Extract<HotRestartRequest, { ask: "pass-listen-socket" }>): void {
    const key = { address: request.address, worker: request.worker };
    const ours = request.namespace === "" ? this.#options.kept?.descriptorFor(key.address, key.worker) : undefined;
    this.#reply({ answer: "pass-listen-socket", descriptor: ours ?? -1 }, ours);
    if (ours !== undefined) this.#claimed.push(key);
    this.#options.onAsked?.({ what: "pass-listen-socket", key, handedOver: ours !== undefined });
  }

  #reply(reply: HotRestartReply, descriptor?: number): void {
    this.#socket.send(this.#child(), encodeReply(reply), descriptor === undefined ? [] : [descriptor]);
  }

  #startedAt(): number {
    return this.#options.startedAtSeconds ?? Math.floor(this.#place.clock.wall().getTime() / 1_000);
  }
}
