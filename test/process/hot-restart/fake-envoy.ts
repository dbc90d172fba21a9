import { noLog } from "../../../src/foundation/log.ts";
import { HotRestartSocket } from "../../../src/process/hot-restart/hot-restart-socket.ts";
import { encodeReply, encodeRequest, type HotRestartRequest } from "../../../src/process/hot-restart/message.ts";
import { type Place, socketName } from "../../../src/process/hot-restart/names.ts";
import { FakeClock } from "../../fakes/fake-clock.ts";
import type { FakeSockets } from "./fake-sockets.ts";

export const lineage = { prefix: "/run/hot/envoy", baseId: 7 };
export const placeOf = (epoch: number, clock = new FakeClock()): Place => ({ ...lineage, epoch, clock, log: noLog });

/** The parent's side of a serving Envoy, with listen sockets by address and worker. */
export class FakeParent {
  readonly asked: HotRestartRequest[] = [];
  readonly table = new Map<string, number>();
  silent = false;
  readonly #sockets: FakeSockets;
  readonly #socket: HotRestartSocket;
  readonly #place: Place;
  #late: (() => void)[] = [];

  constructor(sockets: FakeSockets, place: Place) {
    this.#sockets = sockets;
    this.#place = place;
    this.#socket = new HotRestartSocket(sockets, socketName(place, "parent", place.epoch), place, (message) => {
      if (message.is !== "request") return;
      this.asked.push(message.request);
      const answer = (): void => this.#answer(message.request);
      if (this.silent) this.#late.push(answer);
      else answer();
    });
  }

  listen(address: string, workers: number, listening = true): void {
    for (let worker = 0; worker < workers; worker++)
      this.table.set(`${address} ${worker}`, this.#sockets.make(listening));
  }

  unlisten(address: string): void {
    for (const [name, descriptor] of this.table) {
      if (!name.startsWith(`${address} `)) continue;
      this.table.delete(name);
      this.#sockets.closeDescriptor(descriptor);
    }
  }

  /** It goes on after it hung. */
  wake(): void {
    this.silent = false;
    for (const answer of this.#late.splice(0)) answer();
  }

  die(): void {
    this.#socket.close({ leaveFile: true });
    for (const descriptor of this.table.values()) this.#sockets.closeDescriptor(descriptor);
  }

  #answer(request: HotRestartRequest): void {
    const child = socketName(this.#place, "child", this.#place.epoch + 1);
    if (request.ask === "pass-listen-socket") {
      const found = this.table.get(`${request.address} ${request.worker}`);
      const reply = encodeReply({ answer: "pass-listen-socket", descriptor: found ?? -1 });
      this.#socket.send(child, reply, found === undefined ? [] : [found]);
    } else if (request.ask === "shutdown-admin") {
      this.#socket.send(
        child,
        encodeReply({ answer: "shutdown-admin", startedAtSeconds: 5, reusePortByDefault: true }),
      );
    } else if (request.ask === "stats") this.#socket.send(child, encodeReply({ answer: "stats" }));
  }
}

/** The child's side: asks, and collects the answers. */
export class FakeChild {
  readonly answers: unknown[] = [];
  readonly descriptors: number[] = [];
  readonly #sockets: FakeSockets;
  readonly #socket: HotRestartSocket;
  readonly #place: Place;

  constructor(sockets: FakeSockets, place: Place) {
    this.#sockets = sockets;
    this.#place = place;
    const name = socketName(place, "child", place.epoch);
    this.#socket = new HotRestartSocket(sockets, name, place, (message, descriptors) => {
      this.answers.push(message.is === "reply" ? message.reply : message.is);
      this.descriptors.push(...descriptors);
    });
  }

  ask(request: HotRestartRequest): void {
    this.#socket.send(socketName(this.#place, "parent", this.#place.epoch - 1), encodeRequest(request));
  }

  /** Bytes of a later Envoy. */
  say(bytes: Buffer): void {
    this.#sockets.sendTo(socketName(this.#place, "parent", this.#place.epoch - 1), bytes);
  }

  die(): void {
    this.#socket.close();
    for (const one of this.descriptors) this.#sockets.closeDescriptor(one);
  }
}
