import { bytesField, readFields, varintField, type WireField } from "./wire.ts";

/*
 * What two Envoys say to each other at a hot restart (hot-restart version 11.104, Envoy 1.39 and 1.40): the child asks,
 * the parent answers. A message is an 8-byte big-endian length and a protobuf HotRestartMessage, cut into datagrams of
 * 4096 bytes at most; a descriptor travels with a message of one datagram.
 *
 *   HotRestartMessage  request 1 | reply 2 | didnt_recognize_your_last_message 3
 *   Request            pass_listen_socket 1 {address 1, worker_index 2, network_namespace 3} · shutdown_admin 2 · stats 3
 *                      · drain_listeners 4 · terminate 5 · forwarded_udp_packet 6 · test_connection 7
 *   Reply              pass_listen_socket 1 {fd 1} · shutdown_admin 2 {original start 1, reuse port by default 2}
 *                      · stats 3
 *
 * Envoy ends itself on a message it cannot read: nothing but what these functions make may be sent to it.
 */

/** What a child asks of its parent. The last three and stats' content are of no use to us. */
export type HotRestartRequest =
  | {
      readonly ask: "pass-listen-socket";
      /** As Envoy writes it: "tcp://127.0.0.1:80", "tcp://[::1]:80". */
      readonly address: string;
      readonly worker: number;
      /** File of the listener's network namespace; "" for Envoy's own. */
      readonly namespace: string;
    }
  | {
      readonly ask: "shutdown-admin" | "stats" | "drain-listeners" | "terminate" | "forwarded-udp" | "test-connection";
    };

export type HotRestartReply =
  /** The number of the descriptor in the sender's table, -1 for none; the descriptor itself is beside the message. */
  | { readonly answer: "pass-listen-socket"; readonly descriptor: number }
  | { readonly answer: "shutdown-admin"; readonly startedAtSeconds: number; readonly reusePortByDefault: boolean }
  /** Empty: nothing is added to the child's statistics. */
  | { readonly answer: "stats" };

export type HotRestartMessage =
  | { readonly is: "request"; readonly request: HotRestartRequest }
  | { readonly is: "reply"; readonly reply: HotRestartReply }
  | { readonly is: "not-recognized" }
  /** A request or a reply of a later Envoy. */
  | { readonly is: "unknown"; readonly side: "request" | "reply" | "neither" };

/** Envoy's MaxSendmsgSize. */
export const LARGEST_DATAGRAM = 4096;
const LENGTH_SIZE = 8;
/** Stats of a large Envoy have some megabytes; more than this is no message. */
const LARGEST_MESSAGE = 256 * 1024 * 1024;

const plainRequests = new Map([
  ["shutdown-admin", 2],
  ["stats", 3],
  ["drain-listeners", 4],
  ["terminate", 5],
  ["forwarded-udp", 6],
  ["test-connection", 7],
] as const);

export function encodeRequest(request: HotRestartRequest): readonly Buffer[] {
  const body =
    request.ask === "pass-listen-socket"
      ? bytesField(
          1,
          Buffer.concat([
            bytesField(1, request.address),
            varintField(2, request.worker),
            ...(request.namespace === "" ? [] : [bytesField(3, request.namespace)]),
          ]),
        )
      : bytesField(plainRequests.get(request.ask) ?? 0, "");
  return frame(bytesField(1, body));
}

export function encodeReply(reply: HotRestartReply): readonly Buffer[] {
  switch (reply.answer) {
    case "pass-listen-socket":
      return frame(bytesField(2, bytesField(1, varintField(1, reply.descriptor))));
    case "shutdown-admin": {
      const facts = [varintField(1, reply.startedAtSeconds), varintField(2, reply.reusePortByDefault ? 1 : 0)];
      return frame(bytesField(2, bytesField(2, Buffer.concat(facts))));
    }
    case "stats":
      return frame(bytesField(2, bytesField(3, "")));
  }
}

/** "I did not understand your last message": Envoy's own answer to a request of a later Envoy. */
export function encodeNotRecognized(): readonly Buffer[] {
  return frame(varintField(3, 1));
}

/** Length and body, cut into datagrams. */
function frame(body: Buffer): readonly Buffer[] {
  const whole = Buffer.alloc(LENGTH_SIZE + body.length);
  whole.writeBigUInt64BE(BigInt(body.length));
  body.copy(whole, LENGTH_SIZE);
  const parts: Buffer[] = [];
  for (let at = 0; at < whole.length; at += LARGEST_DATAGRAM) parts.push(whole.subarray(at, at + LARGEST_DATAGRAM));
  return parts;
}

/** The body of one message; undefined when it is no HotRestartMessage. Unknown fields are passed over. */
export function decodeMessage(body: Buffer): HotRestartMessage | undefined {
  const fields = readFields(body);
  if (fields === undefined) return undefined;
  // A oneof: the last one wins.
  const main = fields.findLast(({ number, kind }) => (number === 1 || number === 2) && kind === "bytes");
  if (main?.kind === "bytes") return main.number === 1 ? decodeRequest(main.value) : decodeReply(main.value);
  if (numberOf(fields, 3) === 1n) return { is: "not-recognized" };
  return { is: "unknown", side: "neither" };
}

function decodeRequest(bytes: Buffer): HotRestartMessage | undefined {
  const fields = readFields(bytes);
  if (fields === undefined) return undefined;
  const chosen = fields.findLast(({ number, kind }) => kind === "bytes" && number <= 7);
  if (chosen === undefined) return { is: "unknown", side: "request" };
  if (chosen.number === 1 && chosen.kind === "bytes") return decodePassRequest(chosen.value);
  for (const [ask, number] of plainRequests) if (number === chosen.number) return { is: "request", request: { ask } };
  return { is: "unknown", side: "request" };
}

function decodePassRequest(bytes: Buffer): HotRestartMessage | undefined {
  const fields = readFields(bytes);
  if (fields === undefined) return undefined;
  const worker = Number(BigInt.asUintN(32, numberOf(fields, 2)));
  const [address, namespace] = [textOf(fields, 1), textOf(fields, 3)];
  return { is: "request", request: { ask: "pass-listen-socket", address, worker, namespace } };
}

function decodeReply(bytes: Buffer): HotRestartMessage | undefined {
  const fields = readFields(bytes);
  if (fields === undefined) return undefined;
  const chosen = fields.findLast(({ number, kind }) => kind === "bytes" && number <= 3);
  if (chosen?.kind !== "bytes") return { is: "unknown", side: "reply" };
  if (chosen.number === 3) return { is: "reply", reply: { answer: "stats" } };
  const inner = readFields(chosen.value);
  if (inner === undefined) return undefined;
  if (chosen.number === 1) {
    const descriptor = Number(BigInt.asIntN(32, numberOf(inner, 1)));
    return { is: "reply", reply: { answer: "pass-listen-socket", descriptor } };
  }
  const [startedAtSeconds, reusePortByDefault] = [Number(numberOf(inner, 1)), numberOf(inner, 2) !== 0n];
  return { is: "reply", reply: { answer: "shutdown-admin", startedAtSeconds, reusePortByDefault } };
}

function numberOf(fields: readonly WireField[], number: number): bigint {
  const found = fields.findLast((field) => field.number === number && field.kind === "varint");
  return found?.kind === "varint" ? found.value : 0n;
}

function textOf(fields: readonly WireField[], number: number): string {
  const found = fields.findLast((field) => field.number === number && field.kind === "bytes");
  return found?.kind === "bytes" ? found.value.toString("utf8") : "";
}

export type Assembled =
  | { readonly kind: "message"; readonly body: Buffer; readonly descriptors: readonly number[] }
  /** What arrived is no part of a message; thrown away, its descriptors are the caller's to close. */
  | { readonly kind: "garbage"; readonly why: string; readonly descriptors: readonly number[] };

/** Puts messages together from their datagrams. One for each sender, in order of arrival. */
export class MessageAssembler {
  #parts: Buffer[] = [];
  #descriptors: number[] = [];
  #received = 0;
  #wanted: number | undefined;

  /** Undefined when more is to come. */
  add(bytes: Buffer, descriptors: readonly number[] = []): Assembled | undefined {
    this.#descriptors.push(...descriptors);
    if (this.#wanted === undefined) {
      if (bytes.length < LENGTH_SIZE) return this.#giveUp(`a datagram of ${bytes.length} bytes has no length`);
      const length = bytes.readBigUInt64BE();
      if (length > LARGEST_MESSAGE) return this.#giveUp(`a message of ${length} bytes`);
      this.#wanted = LENGTH_SIZE + Number(length);
    }
    this.#parts.push(bytes);
    this.#received += bytes.length;
    if (this.#received < this.#wanted) return undefined;
    if (this.#received > this.#wanted) return this.#giveUp("a datagram goes beyond the end of its message");
    const body = Buffer.concat(this.#parts).subarray(LENGTH_SIZE);
    return { kind: "message", body, descriptors: this.#reset() };
  }

  /** Descriptors of a message that is not whole; it is forgotten. */
  abandon(): readonly number[] {
    return this.#reset();
  }

  #giveUp(why: string): Assembled {
    return { kind: "garbage", why, descriptors: this.#reset() };
  }

  #reset(): readonly number[] {
    const descriptors = this.#descriptors;
    [this.#parts, this.#descriptors, this.#received, this.#wanted] = [[], [], 0, undefined];
    return descriptors;
  }
}
