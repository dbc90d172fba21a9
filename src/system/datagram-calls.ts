import { constants } from "node:os";
import { type Koffi, nativeCalls } from "./koffi.ts";

/**
 * The calls of libc for unix datagram sockets that carry descriptors, through koffi: Node has none of them. Nothing
 * here blocks. The structures are laid by hand for 64-bit little-endian Linux (x64 and arm64 agree, glibc and musl too:
 * where musl has an int and padding, the padding is zero).
 */
export interface DatagramCalls {
  /** A new unbound socket: non-blocking, close-on-exec. */
  open(): number;
  /** Gives the socket a name; throws SystemCallFailed (EADDRINUSE, EACCES, …). */
  bind(descriptor: number, name: string): void;
  /** Whether somebody is bound to this name: "yes", or the error's name (ECONNREFUSED: a stale file, ENOENT: none). */
  somebodyAt(name: string): string;
  /** Sends one datagram. "sent", or the error's name. */
  send(descriptor: number, to: string, bytes: Uint8Array, descriptors: readonly number[]): string;
  /** The next datagram; undefined when there is none. Throws SystemCallFailed for anything else. */
  receive(descriptor: number): ReceivedDatagram | undefined;
  /** Another descriptor of the same kernel object, close-on-exec. */
  duplicate(descriptor: number): number;
  /** Whether it is a listening stream socket (SO_ACCEPTCONN). */
  isListening(descriptor: number): boolean;
  close(descriptor: number): void;
}

export interface ReceivedDatagram {
  readonly bytes: Buffer;
  readonly descriptors: readonly number[];
  /** Bytes or descriptors did not fit, or this process may not open more of them. */
  readonly truncated: boolean;
}

export class SystemCallFailed extends Error {
  override readonly name = "SystemCallFailed";
  readonly code: string;
  constructor(call: string, code: string) {
    super(`${call} failed (${code})`);
    this.code = code;
  }
}

/** sun_path of sockaddr_un, with its end of string. */
export const LONGEST_SOCKET_PATH = 107;
/** One datagram: Envoy's have 4096 bytes at most. */
const LARGEST_DATAGRAM = 65_536;
/** The kernel's SCM_MAX_FD. */
const MOST_DESCRIPTORS = 253;

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_ACCEPTCONN = 30;
const SCM_RIGHTS = 1;
const MSG_CTRUNC = 0x8;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const F_DUPFD_CLOEXEC = 1030;

/** Where things lie in the one block of memory that all calls share (JavaScript makes them one at a time). */
const HEADER = 0; // struct msghdr, 56 bytes: name 0, name length 8, iovec 16, their count 24, control 32, its length 40, flags 48
const NAME = 64; // struct sockaddr_un, 110 bytes
const VECTOR = 192; // struct iovec: address 0, length 8
const CONTROL = 256; // struct cmsghdr: length 0, level 8, type 12; data 16
const CONTROL_SIZE = 16 + MOST_DESCRIPTORS * 4 + 4;
const DATA = 2048;
const ALL = DATA + LARGEST_DATAGRAM;

/** Loaded at the first call; undefined without koffi (another platform, a stripped image). */
export const datagramCalls: () => DatagramCalls | undefined = nativeCalls(build);

interface Memory {
  readonly at: bigint;
  readonly bytes: Buffer;
}

function build(koffi: Koffi): DatagramCalls {
  const libc = koffi.load(null);
  const socket = libc.func("int socket(int domain, int type, int protocol)");
  const bind = libc.func("int bind(int fd, void *address, uint length)");
  const connect = libc.func("int connect(int fd, void *address, uint length)");
  const sendmsg = libc.func("long sendmsg(int fd, void *message, int flags)");
  const recvmsg = libc.func("long recvmsg(int fd, void *message, int flags)");
  const fcntl = libc.func("int fcntl(int fd, int command, ...)");
  const getsockopt = libc.func("int getsockopt(int fd, int level, int name, void *value, void *length)");
  const close = libc.func("int close(int fd)");
  // koffi's own memory, which does not move: the header holds addresses into it.
  const at = koffi.alloc("uint8", ALL);
  const memory: Memory = { at, bytes: Buffer.from(koffi.view(at, ALL)) };
  const failed = (call: string): SystemCallFailed => new SystemCallFailed(call, errorName(koffi.errno()));
  const open = (): number => {
    const descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) throw failed("socket");
    return descriptor;
  };
  return {
    open,
    bind(descriptor, name) {
      if (bind(descriptor, at + BigInt(NAME), layName(memory, name)) !== 0) throw failed("bind");
    },
    somebodyAt(name) {
      const probe = open();
      try {
        return connect(probe, at + BigInt(NAME), layName(memory, name)) === 0 ? "yes" : errorName(koffi.errno());
      } finally {
        close(probe);
      }
    },
    send(descriptor, to, bytes, descriptors) {
      layMessage(memory, bytes.length, to, controlOf(memory, descriptors));
      memory.bytes.set(bytes, DATA);
      return sendmsg(descriptor, at, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ? "sent" : errorName(koffi.errno());
    },
    receive(descriptor) {
      layMessage(memory, LARGEST_DATAGRAM, undefined, CONTROL_SIZE);
      const got = recvmsg(descriptor, at, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
      if (got >= 0) return readMessage(memory, got);
      const code = errorName(koffi.errno());
      if (code === "EAGAIN" || code === "EINTR") return undefined;
      throw new SystemCallFailed("recvmsg", code);
    },
    duplicate(descriptor) {
      const copy = fcntl(descriptor, F_DUPFD_CLOEXEC, "int", 3);
      if (copy < 0) throw failed("fcntl");
      return copy;
    },
    isListening(descriptor) {
      const value = new Int32Array(1);
      return getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, value, new Uint32Array([4])) === 0 && value[0] === 1;
    },
    close: (descriptor) => {
      close(descriptor);
    },
  };
}

/** A path, or "@name" for an abstract name, NUL-padded to the full length as Envoy does. Gives the address's length. */
function layName({ bytes }: Memory, name: string): number {
  const abstract = name.startsWith("@");
  const text = Buffer.from(abstract ? `\0${name.slice(1)}` : name);
  if (text.length > LONGEST_SOCKET_PATH)
    throw new Error(`cannot use "${name}" as a socket's name: it has more than ${LONGEST_SOCKET_PATH} bytes`);
  bytes.fill(0, NAME, NAME + 110);
  bytes.writeUInt16LE(AF_UNIX, NAME);
  bytes.set(text, NAME + 2);
  return abstract ? 110 : 2 + text.length + 1;
}

function layMessage(memory: Memory, size: number, to: string | undefined, control: number): void {
  const { at, bytes } = memory;
  const nameLength = to === undefined ? 0 : layName(memory, to);
  bytes.fill(0, HEADER, HEADER + 56);
  bytes.writeBigUInt64LE(to === undefined ? 0n : at + BigInt(NAME), HEADER);
  bytes.writeUInt32LE(nameLength, HEADER + 8);
  bytes.writeBigUInt64LE(at + BigInt(VECTOR), HEADER + 16);
  bytes.writeBigUInt64LE(1n, HEADER + 24);
  bytes.writeBigUInt64LE(control === 0 ? 0n : at + BigInt(CONTROL), HEADER + 32);
  bytes.writeBigUInt64LE(BigInt(control), HEADER + 40);
  bytes.writeBigUInt64LE(at + BigInt(DATA), VECTOR);
  bytes.writeBigUInt64LE(BigInt(size), VECTOR + 8);
}

/** Lays the descriptors to send; gives the length of the control block, 0 for none. */
function controlOf({ bytes }: Memory, descriptors: readonly number[]): number {
  if (descriptors.length === 0) return 0;
  if (descriptors.length > MOST_DESCRIPTORS) throw new Error("cannot send more than 253 descriptors at once");
  const length = 16 + descriptors.length * 4;
  const padded = Math.ceil(length / 8) * 8;
  bytes.fill(0, CONTROL, CONTROL + padded);
  bytes.writeBigUInt64LE(BigInt(length), CONTROL);
  bytes.writeInt32LE(SOL_SOCKET, CONTROL + 8);
  bytes.writeInt32LE(SCM_RIGHTS, CONTROL + 12);
  descriptors.forEach((one, index) => {
    bytes.writeInt32LE(one, CONTROL + 16 + index * 4);
  });
  return padded;
}

function readMessage({ bytes }: Memory, got: number): ReceivedDatagram {
  const flags = bytes.readInt32LE(HEADER + 48);
  const controlLength = Math.min(Number(bytes.readBigUInt64LE(HEADER + 40)), CONTROL_SIZE);
  return {
    bytes: Buffer.from(bytes.subarray(DATA, DATA + got)),
    descriptors: readDescriptors(bytes, controlLength),
    truncated: (flags & (MSG_CTRUNC | MSG_TRUNC)) !== 0,
  };
}

/** Every descriptor of every control message: one that is overlooked stays open for ever. */
function readDescriptors(bytes: Buffer, controlLength: number): readonly number[] {
  const found: number[] = [];
  for (let at = CONTROL; at + 16 <= CONTROL + controlLength; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    if (length < 16) break;
    const rights = bytes.readInt32LE(at + 8) === SOL_SOCKET && bytes.readInt32LE(at + 12) === SCM_RIGHTS;
    const end = Math.min(at + length, CONTROL + controlLength);
    for (let one = at + 16; rights && one + 4 <= end; one += 4) found.push(bytes.readInt32LE(one));
    at += Math.ceil(length / 8) * 8;
  }
  return found;
}

const errorNames: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.errno).map(([name, number]) => [number, name === "EWOULDBLOCK" ? "EAGAIN" : name]),
);
const errorName = (number: number): string => errorNames.get(number) ?? `errno ${number}`;
