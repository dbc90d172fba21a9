import type {
  Datagram,
  DatagramSocket,
  DatagramSockets,
  ReceiveOptions,
  SendResult,
} from "../../../src/system/datagram-sockets.ts";

/** Datagram sockets in memory, with a table of descriptors: every test ends by asking who is still open. */
export class FakeSockets implements DatagramSockets {
  readonly bound = new Map<string, ReceiveOptions>();
  /** Descriptor -> kernel object. */
  readonly open = new Map<number, { readonly object: number; readonly listening: boolean }>();
  readonly files = new Set<string>();
  /** Paths whose receiver has no room at the moment, or where we may not write. */
  readonly stuck = new Map<string, SendResult>();
  sent = 0;
  #next = 100;

  bind(path: string, options: ReceiveOptions): DatagramSocket {
    if (this.bound.has(path)) throw new Error(`cannot bind "${path}": another process holds it`);
    this.bound.set(path, options);
    this.files.add(path);
    let closed = false;
    return {
      path,
      sendTo: (to, bytes, descriptors = []) => (closed ? "nobody" : this.#send(to, bytes, descriptors)),
      close: ({ leaveFile } = {}) => {
        if (closed) return;
        closed = true;
        if (this.bound.get(path) === options) this.bound.delete(path);
        if (leaveFile !== true) this.files.delete(path);
      },
    };
  }

  sendTo(path: string, bytes: Uint8Array): SendResult {
    return this.#send(path, bytes, []);
  }

  duplicate(descriptor: number): number {
    const entry = this.open.get(descriptor);
    if (entry === undefined) throw new Error("EBADF");
    this.#next += 1;
    this.open.set(this.#next, entry);
    return this.#next;
  }

  closeDescriptor(descriptor: number): void {
    if (!this.open.delete(descriptor)) throw new Error(`descriptor ${descriptor} is closed twice`);
  }

  identityOf(descriptor: number): number {
    const entry = this.open.get(descriptor);
    if (entry === undefined) throw new Error("EBADF");
    return entry.object;
  }

  isListening(descriptor: number): boolean {
    return this.open.get(descriptor)?.listening ?? false;
  }

  /** A new kernel object with its first descriptor. */
  make(listening = true): number {
    this.#next += 1;
    this.open.set(this.#next, { object: this.#next, listening });
    return this.#next;
  }

  #send(to: string, bytes: Uint8Array, descriptors: readonly number[]): SendResult {
    const receiver = this.bound.get(to);
    if (receiver === undefined) return "nobody";
    const stuck = this.stuck.get(to);
    if (stuck !== undefined) return stuck;
    this.sent += 1;
    const copies = descriptors.map((one) => this.duplicate(one));
    const datagram: Datagram = { bytes: Buffer.from(bytes), descriptors: copies, truncated: false };
    queueMicrotask(() => {
      // As the kernel does: what a closed socket has not read is gone, descriptors too.
      if (this.bound.get(to) !== receiver) for (const one of copies) this.closeDescriptor(one);
      else receiver.onDatagram(datagram);
    });
    return "sent";
  }
}

/** Lets everything that was sent arrive. */
export async function delivered(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}
