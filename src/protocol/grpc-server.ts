import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Duplex } from "node:stream";
import { closeLater } from "../system/close-later.ts";
import { Deframer, encodeMessage, framed, grpcStatus } from "./grpc-status.ts";

/**
 * A small gRPC server on node:http2: sockets are handed in (accepted, checked, perhaps TLS), calls come out. Not
 * grpc-js, because ADS must be forwarded frame by frame with backpressure (stack.md 3: a third of the CPU and less than
 * half of the memory), because the sockets must listen before anything heavy is loaded, and because the caller's uid
 * is known only from the socket.
 */
export interface GrpcServer {
  /** Speaks HTTP/2 on this socket from now on. */
  accept(socket: Duplex): void;
  /** Connections and calls that are there now. */
  readonly connections: number;
  readonly calls: number;
  /** Ends all connections: calls see their `onClose`. */
  close(): void;
}

/** A call as it came: path `/package.Service/Method`, headers, and the raw stream. */
export interface RawCall {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly stream: ServerHttp2Stream;
  readonly socket: Duplex;
}

export interface GrpcServerOptions {
  /** Undefined: answered with UNIMPLEMENTED. */
  readonly route: (path: string) => ((call: RawCall) => void) | undefined;
  /** A handler threw: a bug of ours. */
  readonly onBug: (error: unknown) => void;
  /** Bytes that a peer may send before we read them, a stream and a connection. */
  readonly window?: number;
}

/** How long a caller may take to end its side of a call that we have ended, in ms. */
const HALF_OPEN = 2_000;
const WINDOW = 1024 * 1024;

export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const sessions = new Map<ServerHttp2Session, Duplex>();
  const streams = new Set<ServerHttp2Stream>();
  const window = options.window ?? WINDOW;

  const onStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, socket: Duplex): void => {
    streams.add(stream);
    // Without these two an error of the peer would be an unhandled event, and PID 1 would die of it.
    stream.on("error", () => undefined);
    stream.once("close", () => streams.delete(stream));
    const path = String(headers[":path"] ?? "");
    const handler = options.route(path);
    if (handler === undefined) return refuse(stream, grpcStatus.unimplemented, `${path} is not served here`);
    try {
      handler({ path, headers, stream, socket });
    } catch (error) {
      options.onBug(error);
      refuse(stream, grpcStatus.internal, "internal error");
    }
  };

  return {
    accept(socket) {
      socket.on("error", () => undefined);
      // Accepted paused (system/unix-sockets.ts): the session takes over the handle but does not start the reading.
      socket.resume();
      const session = performServerHandshake(socket, {
        settings: { initialWindowSize: window, maxConcurrentStreams: 100_000, enablePush: false },
        // In MB; the default of 10 would refuse streams while a large push waits for a slow reader.
        maxSessionMemory: 1_000,
      });
      sessions.set(session, socket);
      session.on("error", () => undefined);
      session.once("close", () => sessions.delete(session));
      session.once("connect", () => session.setLocalWindowSize(window));
      session.on("stream", (stream, headers) => onStream(stream, headers, socket));
    },
    get connections() {
      return sessions.size;
    },
    get calls() {
      return streams.size;
    },
    close() {
      for (const [session, socket] of sessions) {
        session.destroy();
        // A session waits for the write that is under way, over TLS also for one that a reset has lost (Node 24).
        if ("encrypted" in socket) socket.destroy();
      }
    },
  };
}

/** Ends a call that has not answered yet, with headers and trailers in one. */
export function refuse(stream: ServerHttp2Stream, code: number, text: string): void {
  if (stream.destroyed || stream.closed) return;
  if (stream.headersSent) {
    finish(stream, code, text);
    return;
  }
  stream.respond(
    {
      ":status": 200,
      "content-type": "application/grpc",
      "grpc-status": String(code),
      "grpc-message": encodeMessage(text),
    },
    { endStream: true },
  );
  closeLater(stream, HALF_OPEN, () => stream.close(constants.NGHTTP2_NO_ERROR));
}

const trailersOf = new WeakMap<ServerHttp2Stream, Record<string, string>>();

/** Answers with headers and keeps the stream open; `finish` ends it later. */
export function begin(stream: ServerHttp2Stream, headers: Readonly<Record<string, string>> = {}): void {
  if (stream.headersSent || stream.destroyed || stream.closed) return;
  stream.respond({ ":status": 200, "content-type": "application/grpc", ...headers }, { waitForTrailers: true });
  stream.once("wantTrailers", () => {
    stream.sendTrailers(trailersOf.get(stream) ?? { "grpc-status": String(grpcStatus.unavailable) });
    // A caller that does not end its side after this would keep its half of the stream for ever.
    closeLater(stream, HALF_OPEN, () => stream.close(constants.NGHTTP2_NO_ERROR));
  });
}

/** Ends an answered call with a status. `more` are further trailers. */
export function finish(
  stream: ServerHttp2Stream,
  code: number,
  text: string,
  more: Readonly<Record<string, string>> = {},
): void {
  if (stream.destroyed || stream.closed || stream.writableEnded) return;
  if (!stream.headersSent) return refuse(stream, code, text);
  trailersOf.set(stream, {
    ...more,
    "grpc-status": String(code),
    ...(text === "" ? {} : { "grpc-message": encodeMessage(text) }),
  });
  stream.end();
}

/** A call whose messages are taken apart. */
export interface MessageCall {
  readonly headers: IncomingHttpHeaders;
  readonly socket: Duplex;
  /** Sends a message; false when the peer is slow and `drained` should be awaited before more is sent. */
  send(message: Uint8Array): boolean;
  drained(): Promise<void>;
  end(code: number, text?: string): void;
  readonly closed: boolean;
}

export interface MessageHandler {
  onMessage(message: Buffer): void;
  /** The caller has said all; it may still listen. */
  onEnd(): void;
  /** The call is over, whoever ended it. */
  onClose(): void;
}

/** A handler of whole messages for `route`. `limit`: largest message that is taken, in bytes. */
export function messages(limit: number, open: (call: MessageCall) => MessageHandler): (call: RawCall) => void {
  return ({ stream, headers, socket }) => {
    const call: MessageCall = {
      headers,
      socket,
      send(message) {
        if (stream.destroyed || stream.closed || stream.writableEnded) return true;
        begin(stream);
        return stream.write(framed(message));
      },
      drained: () => drained(stream),
      end: (code, text = "") => finish(stream, code, text),
      get closed() {
        return stream.destroyed || stream.closed || stream.writableEnded;
      },
    };
    const handler = open(call);
    const deframer = new Deframer(limit, (message) => handler.onMessage(message));
    stream.on("data", (chunk: Buffer) => {
      try {
        deframer.push(chunk);
      } catch (error) {
        finish(stream, grpcStatus.invalidArgument, error instanceof Error ? error.message : String(error));
      }
    });
    stream.once("end", () => handler.onEnd());
    stream.once("close", () => handler.onClose());
  };
}

function drained(stream: ServerHttp2Stream): Promise<void> {
  return new Promise((resolve) => {
    if (!stream.writableNeedDrain || stream.destroyed) return resolve();
    const done = (): void => {
      stream.off("drain", done);
      stream.off("close", done);
      resolve();
    };
    stream.once("drain", done);
    stream.once("close", done);
  });
}
