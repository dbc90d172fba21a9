/** gRPC's status codes by name. */
export const grpcStatus = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** The name of a code as gRPC writes it, for logs: `UNAVAILABLE`. */
export function statusName(code: number): string {
  const found = Object.entries(grpcStatus).find(([, value]) => value === code);
  return found === undefined ? `code ${code}` : found[0].replace(/[A-Z]/g, "_$&").toUpperCase();
}

/** `grpc-message` is percent-encoded UTF-8. */
export const encodeMessage = (text: string): string =>
  encodeURIComponent(text).replace(/%(20|2[1-9A-F]|3A|3B|3C|3D|3E|3F|40|5B|5C|5D|5E|60|7B|7C|7D)/g, (hex) =>
    hex === "%25" ? hex : decodeURIComponent(hex),
  );

export function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A message with gRPC's five bytes before it. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(5 + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}

/** A message above the limit; nothing of it was kept. */
export class MessageTooLarge extends Error {
  override readonly name = "MessageTooLarge";
}

/** Takes a stream's chunks apart into messages. Throws for a compressed message, and MessageTooLarge for one above `limit` bytes. */
export class Deframer {
  readonly #limit: number;
  readonly #onMessage: (message: Buffer) => void;
  #kept: Buffer[] = [];
  #size = 0;

  constructor(limit: number, onMessage: (message: Buffer) => void) {
    this.#limit = limit;
    this.#onMessage = onMessage;
  }

  push(chunk: Buffer): void {
    this.#kept.push(chunk);
    this.#size += chunk.length;
    for (;;) {
      const wanted = this.#wanted();
      if (wanted === undefined || this.#size < wanted) return;
      const all = Buffer.concat(this.#kept, this.#size);
      this.#kept = all.length > wanted ? [all.subarray(wanted)] : [];
      this.#size = all.length - wanted;
      this.#onMessage(all.subarray(5, wanted));
    }
  }

  /** Bytes of the frame at the front, its head included; undefined while the head is not there. */
  #wanted(): number | undefined {
    if (this.#size < 5) return undefined;
    let head = this.#kept[0] ?? Buffer.alloc(0);
    if (head.length < 5) {
      head = Buffer.concat(this.#kept, this.#size);
      this.#kept = [head];
    }
    if (head[0] !== 0) throw new Error("a compressed message, which was not asked for");
    const size = head.readUInt32BE(1);
    if (size > this.#limit) throw new MessageTooLarge(`a message of ${size} bytes; at most ${this.#limit} are taken`);
    return 5 + size;
  }
}
