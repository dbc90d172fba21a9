import { type ClientHttp2Stream, connect, constants, type IncomingHttpHeaders } from "node:http2";
import type { Duplex } from "node:stream";
import { describeError, errorCode } from "../foundation/errors.ts";
import { Deframer, decodeMessage, framed, grpcStatus, MessageTooLarge } from "./grpc-status.ts";

/** A call that brought no message: gRPC's code, and the server's words or why there are none. */
export class CallFailed extends Error {
  override readonly name = "CallFailed";
  readonly code: number;
  constructor(code: number, details: string) {
    super(details);
    this.code = code;
  }
}

export interface UnaryCall {
  /** `https://name` or `http://host:port`: scheme and authority that the server sees. */
  readonly origin: string;
  /** `/package.Service/Method` */
  readonly path: string;
  readonly metadata: readonly (readonly [name: string, value: string])[];
  readonly message: Uint8Array;
  /** Told to the server, in ms; whoever calls keeps it. */
  readonly deadline: number;
  /** The largest answer that is taken, in bytes. */
  readonly limit: number;
}

/**
 * One call on a connection of its own: a message there, a message back. Rejects with CallFailed, or with Node's error for
 * metadata that can't be sent. When the call is over, goodbye is said and the socket ends; destroying it ends a call that
 * is under way.
 */
export function unaryCall(socket: Duplex, call: UnaryCall): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const session = connect(call.origin, { createConnection: () => socket, settings: { enablePush: false } });
    const answer = new Answer(call.limit);
    session.on("error", (error) => answer.lostConnection(error));
    const stream = session.request({
      ...Object.fromEntries(call.metadata),
      ":method": "POST",
      ":path": call.path,
      "content-type": "application/grpc",
      te: "trailers",
      "grpc-accept-encoding": "identity",
      "grpc-timeout": `${Math.min(99_999_999, Math.ceil(call.deadline))}m`,
    });
    answer.readFrom(stream);
    stream.once("close", () => {
      session.close();
      const failure = answer.failure(stream.rstCode);
      if (failure === undefined) resolve(answer.message);
      else reject(failure);
    });
    stream.end(framed(call.message));
  });
}

/** What came back so far. */
class Answer {
  message: Buffer = Buffer.alloc(0);
  readonly #deframer: Deframer;
  #messages = 0;
  #status: IncomingHttpHeaders | undefined;
  #httpStatus: number | undefined;
  #connectionError: unknown;
  #refused: CallFailed | undefined;

  constructor(limit: number) {
    this.#deframer = new Deframer(limit, (message) => {
      this.message = message;
      this.#messages += 1;
    });
  }

  /** The first reason counts: what follows from it says less. */
  lostConnection(error: unknown): void {
    this.#connectionError ??= error;
  }

  readFrom(stream: ClientHttp2Stream): void {
    // A connection that fails fails its stream first; of a reset, the code is asked for when the stream has closed.
    stream.on("error", (error) => {
      if (errorCode(error) !== "ERR_HTTP2_STREAM_ERROR") this.lostConnection(error);
    });
    stream.once("response", (headers) => {
      this.#httpStatus = headers[":status"];
      if (headers["grpc-status"] !== undefined) this.#status = headers;
    });
    stream.once("trailers", (headers) => {
      this.#status = headers;
    });
    stream.on("data", (chunk: Buffer) => {
      try {
        this.#deframer.push(chunk);
      } catch (error) {
        const code = error instanceof MessageTooLarge ? grpcStatus.resourceExhausted : grpcStatus.internal;
        this.#refused ??= new CallFailed(code, describeError(error));
        stream.close(constants.NGHTTP2_CANCEL);
      }
    });
  }

  /** Why there is no message; undefined when there is one. */
  failure(rstCode: number | undefined): CallFailed | undefined {
    if (this.#refused !== undefined) return this.#refused;
    if (this.#status !== undefined) return this.#fromStatus(this.#status);
    if (this.#httpStatus !== undefined && this.#httpStatus !== 200)
      return new CallFailed(fromHttp(this.#httpStatus), `it answered with HTTP status ${this.#httpStatus}`);
    const reset = this.#connectionError === undefined ? fromReset.get(rstCode ?? 0) : undefined;
    if (reset !== undefined) return new CallFailed(reset, `it reset the call with HTTP/2's code ${rstCode}`);
    const why = this.#connectionError === undefined ? "" : `: ${describeError(this.#connectionError)}`;
    return new CallFailed(grpcStatus.unavailable, `the connection was lost${why}`);
  }

  #fromStatus(headers: IncomingHttpHeaders): CallFailed | undefined {
    const said = Number(headers["grpc-status"] ?? grpcStatus.unknown);
    const code = Number.isNaN(said) ? grpcStatus.unknown : said;
    if (code !== grpcStatus.ok) return new CallFailed(code, decodeMessage(String(headers["grpc-message"] ?? "")));
    return this.#messages === 1
      ? undefined
      : new CallFailed(grpcStatus.unimplemented, `${this.#messages} messages came`);
  }
}

/** What a proxy's answer means (gRPC over HTTP/2: "HTTP to gRPC status code mapping"). */
function fromHttp(status: number): number {
  if (status === 400) return grpcStatus.internal;
  if (status === 401) return grpcStatus.unauthenticated;
  if (status === 403) return grpcStatus.permissionDenied;
  if (status === 404) return grpcStatus.unimplemented;
  return [429, 502, 503, 504].includes(status) ? grpcStatus.unavailable : grpcStatus.unknown;
}

/** What a reset means (the same page, "HTTP2 transport mapping"); a code that is not here says nothing of the call. */
const fromReset: ReadonlyMap<number, number> = new Map([
  [constants.NGHTTP2_PROTOCOL_ERROR, grpcStatus.internal],
  [constants.NGHTTP2_INTERNAL_ERROR, grpcStatus.internal],
  [constants.NGHTTP2_FLOW_CONTROL_ERROR, grpcStatus.internal],
  [constants.NGHTTP2_REFUSED_STREAM, grpcStatus.unavailable],
  [constants.NGHTTP2_ENHANCE_YOUR_CALM, grpcStatus.resourceExhausted],
  [constants.NGHTTP2_INADEQUATE_SECURITY, grpcStatus.permissionDenied],
]);
