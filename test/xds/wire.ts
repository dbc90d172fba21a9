import { type ClientHttp2Session, type ClientHttp2Stream, connect, type IncomingHttpHeaders } from "node:http2";
import { connect as connectSocket } from "node:net";
import { createGrpcServer, type RawCall } from "../../src/protocol/grpc-server.ts";
import { Deframer, framed } from "../../src/protocol/grpc-status.ts";
import { paths } from "../../src/protocol/names.ts";
import { listenTcp } from "../../src/system/tls.ts";

/** A control plane of raw streams: what a test says goes out byte for byte. */
export async function rawUpstream(onCall: (call: RawCall) => void): Promise<{
  readonly port: number;
  readonly calls: () => number;
  readonly connections: () => number;
  readonly close: () => Promise<void>;
}> {
  const server = createGrpcServer({
    route: () => onCall,
    onBug: (error) => {
      throw error;
    },
  });
  const listener = await listenTcp({ host: "127.0.0.1", port: 0 }, (socket) => server.accept(socket));
  return {
    port: listener.port,
    calls: () => server.calls,
    connections: () => server.connections,
    close: async () => {
      const closed = listener.close();
      server.close();
      await closed;
    },
  };
}

/** A client in Envoy's place, on the proxy's socket. */
export interface RawEnvoy {
  readonly session: ClientHttp2Session;
  readonly stream: ClientHttp2Stream;
  /** Whole messages in the order in which they came. */
  readonly messages: Buffer[];
  send(message: Uint8Array): void;
  /** grpc-status and grpc-message, when the stream has ended. */
  readonly ended: Promise<{ readonly code: number; readonly text: string }>;
  close(): void;
}

export function rawEnvoy(
  socket: string,
  path: string = paths.streamAggregated,
  headers: Record<string, string> = {},
): RawEnvoy {
  const session = connect("http://envoy", { createConnection: () => connectSocket({ path: socket }) });
  session.on("error", () => undefined);
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  stream.on("error", () => undefined);
  const messages: Buffer[] = [];
  const deframer = new Deframer(1e9, (message) => messages.push(Buffer.from(message)));
  stream.on("data", (chunk: Buffer) => deframer.push(chunk));
  let status: { code: number; text: string } = { code: -1, text: "" };
  const note = (given: IncomingHttpHeaders): void => {
    if (given["grpc-status"] !== undefined)
      status = { code: Number(given["grpc-status"]), text: decodeURIComponent(String(given["grpc-message"] ?? "")) };
  };
  stream.on("response", note);
  stream.on("trailers", (given) => {
    note(given);
    stream.close();
  });
  // As a gRPC client does: when the answer is over, so is the call.
  stream.once("end", () => stream.close());
  const ended = new Promise<typeof status>((resolve) => stream.once("close", () => resolve(status)));
  return {
    session,
    stream,
    messages,
    send: (message) => void stream.write(framed(message)),
    ended,
    close: () => session.destroy(),
  };
}
