import { fchmodSync, fstatSync, lstatSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { describeError, Unavailable } from "../foundation/errors.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import { type DatagramCalls, datagramCalls, LONGEST_SOCKET_PATH, type ReceivedDatagram } from "./datagram-calls.ts";

/**
 * Unix datagram sockets at a path, with descriptors in the messages (SCM_RIGHTS): what Envoy's hot restart speaks.
 * Node's event loop cannot watch such a socket, so it is looked at: in every turn of the loop for a moment after
 * traffic, every few milliseconds otherwise. No call ever blocks.
 */
export interface DatagramSockets {
  /**
   * Binds `path` (mode 0600) and delivers what arrives until `close`. A stale file is replaced in one step (rename):
   * who sends to the path never finds it missing, which Envoy would die of (ENOENT ends it at once, ECONNREFUSED after
   * ten seconds). "@name" is an abstract name, for tests. Throws Unavailable when somebody is bound there, when
   * something else lies there, or when the directory does not allow it.
   */
  bind(path: string, options: ReceiveOptions): DatagramSocket;
  /** Sends one datagram from a nameless socket: whoever gets it can't answer. */
  sendTo(path: string, bytes: Uint8Array): SendResult;
  /** Another descriptor of the same kernel object. Throws when there are too many. */
  duplicate(descriptor: number): number;
  closeDescriptor(descriptor: number): void;
  /** Number of the kernel object behind a descriptor: equal numbers are the same socket. */
  identityOf(descriptor: number): number;
  /** Whether connections can be accepted on it. */
  isListening(descriptor: number): boolean;
}

export interface ReceiveOptions {
  readonly clock: Clock;
  /** The receiver owns the descriptors from here on and closes them. */
  readonly onDatagram: (datagram: Datagram) => void;
  /** The socket can't be read any more (a bug), or `onDatagram` threw. Receiving goes on after the latter. */
  readonly onError: (error: Error) => void;
  /** For tests: how the next turn of the event loop is asked for. */
  readonly soon?: Soon;
}

export type Datagram = ReceivedDatagram;
/** Runs `fire` in the next turn of the event loop; the result cancels it. */
export type Soon = (fire: () => void) => () => void;

/**
 * "full": the receiver has too many waiting, try again later; "nobody": no such file, or nobody behind it;
 * "forbidden": no right to send there.
 */
export type SendResult = "sent" | "full" | "nobody" | "forbidden";

export interface DatagramSocket {
  readonly path: string;
  sendTo(path: string, bytes: Uint8Array, descriptors?: readonly number[]): SendResult;
  /**
   * Ends the receiving; nothing stays armed, what waits unread is thrown away (its descriptors are closed by the
   * kernel). Removes the socket file if it is still ours, unless `leaveFile`: a peer that still wants to send then
   * gets ECONNREFUSED and tries again instead of ENOENT.
   */
  close(options?: { readonly leaveFile?: boolean }): void;
}

/** Loaded at the first call, never at start-up. Undefined without koffi: then there are no such sockets. */
export function datagramSockets(): DatagramSockets | undefined {
  const calls = datagramCalls();
  return calls === undefined ? undefined : socketsWith(calls);
}

/** The same with other calls, for tests. */
export function socketsWith(calls: DatagramCalls): DatagramSockets {
  return {
    bind: (path, options) => new BoundSocket(calls, path, options),
    sendTo(path, bytes) {
      const descriptor = calls.open();
      try {
        return resultOf(path, calls.send(descriptor, path, bytes, []));
      } finally {
        calls.close(descriptor);
      }
    },
    duplicate: (descriptor) => calls.duplicate(descriptor),
    closeDescriptor: (descriptor) => calls.close(descriptor),
    isListening: (descriptor) => calls.isListening(descriptor),
    identityOf: (descriptor) => fstatSync(descriptor).ino,
  };
}

const results: Readonly<Record<string, SendResult>> = {
  sent: "sent",
  EAGAIN: "full",
  ENOBUFS: "full",
  ECONNREFUSED: "nobody",
  ENOENT: "nobody",
  ENOTDIR: "nobody",
  EACCES: "forbidden",
  EPERM: "forbidden",
};

function resultOf(path: string, code: string): SendResult {
  const result = results[code];
  if (result === undefined) throw new Error(`cannot send to "${path}": ${code}`);
  return result;
}

class BoundSocket implements DatagramSocket {
  readonly path: string;
  readonly #calls: DatagramCalls;
  readonly #descriptor: number;
  readonly #file: string;
  readonly #poller: ReceivePoller;
  #closed = false;

  constructor(calls: DatagramCalls, path: string, options: ReceiveOptions) {
    this.path = path;
    this.#calls = calls;
    this.#descriptor = calls.open();
    try {
      this.#file = bindTo(calls, this.#descriptor, path);
    } catch (error) {
      calls.close(this.#descriptor);
      throw error;
    }
    this.#poller = new ReceivePoller(() => calls.receive(this.#descriptor), options);
  }

  sendTo(path: string, bytes: Uint8Array, descriptors: readonly number[] = []): SendResult {
    if (this.#closed) return "nobody";
    const result = resultOf(path, this.#calls.send(this.#descriptor, path, bytes, descriptors));
    // An answer is likely.
    this.#poller.wake();
    return result;
  }

  close(options: { readonly leaveFile?: boolean } = {}): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poller.stop();
    this.#calls.close(this.#descriptor);
    // Names repeat: an Envoy may have put its own socket there since.
    if (options.leaveFile !== true && fileOf(this.path) === this.#file) rmSync(this.path, { force: true });
  }
}

/** Binds under a name of our own, then renames onto the path. Gives the file's identity. */
function bindTo(calls: DatagramCalls, descriptor: number, path: string): string {
  if (path.startsWith("@")) {
    bindOrThrow(calls, descriptor, path, path);
    return "";
  }
  // Room for our own name too, which is a few characters longer than the shortest of Envoy's.
  if (Buffer.byteLength(dirname(path)) > LONGEST_SOCKET_PATH - 24 || Buffer.byteLength(path) > LONGEST_SOCKET_PATH)
    throw new Unavailable(`cannot bind "${path}": the path is too long; use a directory with a shorter name`);
  claim(calls, path);
  const own = `${dirname(path)}/.${process.pid}.${bound++}`;
  // The mode before the bind: the file is born with it, so nobody else can send for even a moment.
  fchmodSync(descriptor, 0o600);
  bindOrThrow(calls, descriptor, own, path);
  try {
    renameSync(own, path);
  } catch (error) {
    rmSync(own, { force: true });
    throw new Unavailable(`cannot bind "${path}": ${describeError(error)}`, { cause: error });
  }
  return fileOf(path) ?? "";
}

let bound = 0;

function bindOrThrow(calls: DatagramCalls, descriptor: number, name: string, wanted: string): void {
  try {
    calls.bind(descriptor, name);
  } catch (error) {
    throw new Unavailable(`cannot bind "${wanted}": ${describeError(error)}`, { cause: error });
  }
}

/** Only a stale socket may be replaced. */
function claim(calls: DatagramCalls, path: string): void {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isSocket()) throw new Unavailable(`cannot bind "${path}": a file that is no socket lies there; remove it`);
  const answer = calls.somebodyAt(path);
  if (answer === "ECONNREFUSED" || answer === "ENOENT") return;
  const why = answer === "yes" ? "another process holds it" : `nobody can tell whether it is in use (${answer})`;
  throw new Unavailable(`cannot bind "${path}": ${why}; wait for its end, or use another base-id`);
}

function fileOf(path: string): string | undefined {
  if (path.startsWith("@")) return undefined;
  const file = lstatSync(path, { throwIfNoEntry: false });
  return file === undefined ? undefined : `${file.dev}:${file.ino}`;
}

/** For so long after traffic the socket is looked at in every turn: an answer takes Envoy less than a millisecond. */
const EAGER_FOR: Millis = 10;
/** Then for so long every 2 ms: Envoy's start has pauses of up to some hundred milliseconds between two requests. */
const ATTENTIVE_FOR: Millis = 1_000;
const ATTENTIVE_EVERY: Millis = 2;
/**
 * Then rarely (a look costs about 0.1 ms of processor time, most of it the wake-up): a stand-in may have to stay for
 * minutes, and an Envoy that asks for statistics every 5 s can wait.
 */
const QUIET_EVERY: Millis = 20;
/** So many datagrams in one turn, then others have theirs. */
const AT_ONCE = 64;

const nextTurn: Soon = (fire) => {
  const turn = setImmediate(fire);
  return () => clearImmediate(turn);
};

/** Looks for datagrams again and again; exported for its test. */
export class ReceivePoller {
  readonly #receive: () => Datagram | undefined;
  readonly #options: ReceiveOptions;
  readonly #soon: Soon;
  #cancel: () => void = () => undefined;
  #lastTraffic: Millis;
  #stopped = false;

  constructor(receive: () => Datagram | undefined, options: ReceiveOptions) {
    this.#receive = receive;
    this.#options = options;
    this.#soon = options.soon ?? nextTurn;
    this.#lastTraffic = options.clock.monotonic();
    this.#arm();
  }

  /** Something was sent: look eagerly again. */
  wake(): void {
    this.#lastTraffic = this.#options.clock.monotonic();
    this.#cancel();
    this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  #arm(): void {
    if (this.#stopped) return;
    const { clock } = this.#options;
    const quiet = clock.monotonic() - this.#lastTraffic;
    const look = (): void => this.#look();
    if (quiet < EAGER_FOR) this.#cancel = this.#soon(look);
    else this.#cancel = clock.after(quiet < ATTENTIVE_FOR ? ATTENTIVE_EVERY : QUIET_EVERY, look);
  }

  #look(): void {
    try {
      for (let count = 0; count < AT_ONCE && !this.#stopped; count++) {
        const datagram = this.#receive();
        if (datagram === undefined) break;
        this.#lastTraffic = this.#options.clock.monotonic();
        this.#deliver(datagram);
      }
    } catch (error) {
      // Receiving itself failed: nothing better can come.
      this.stop();
      this.#options.onError(error instanceof Error ? error : new Error(String(error)));
    }
    this.#cancel();
    this.#arm();
  }

  #deliver(datagram: Datagram): void {
    try {
      this.#options.onDatagram(datagram);
    } catch (error) {
      this.#options.onError(error instanceof Error ? error : new Error(String(error)));
    }
  }
}
