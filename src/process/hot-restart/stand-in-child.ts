import type { Millis } from "../../foundation/time.ts";
import type { DatagramSockets } from "../../system/datagram-sockets.ts";
import { HotRestartSocket } from "./hot-restart-socket.ts";
import { type Place, socketName } from "./names.ts";

export interface StandInChildOptions {
  /** How long answers are waited for; 2 s unless said. A parent that was hung answers when it goes on. */
  readonly during?: Millis;
}

const DURING: Millis = 2_000;

/**
 * Takes the answers that a parent still owes to a child that was killed: without a receiver the parent tries ten times
 * and aborts (hot-restart.md 2, 3). It ends by itself after `during`, or by `close`.
 */
export class StandInChild {
  /** Resolves with the number of answers that were taken, when it has ended. */
  readonly done: Promise<number>;
  readonly #socket: HotRestartSocket;
  readonly #cancel: () => void;
  #resolve: (taken: number) => void = () => undefined;
  #taken = 0;

  /**
   * Binds at once. `place.epoch` is the dead child's. Throws Unavailable when that child is not dead, or when the
   * directory does not allow it.
   */
  constructor(sockets: DatagramSockets, place: Place, options: StandInChildOptions = {}) {
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    const name = socketName(place, "child", place.epoch);
    this.#socket = new HotRestartSocket(sockets, name, place, (_, descriptors) => {
      this.#taken += 1;
      for (const one of descriptors) sockets.closeDescriptor(one);
    });
    this.#cancel = place.clock.after(options.during ?? DURING, () => this.close());
  }

  /** Answers taken so far. */
  get taken(): number {
    return this.#taken;
  }

  /** Idempotent. The file stays: a parent that answers even later retries instead of aborting at once. */
  close(): void {
    this.#cancel();
    this.#socket.close({ leaveFile: true });
    this.#resolve(this.#taken);
  }
}
