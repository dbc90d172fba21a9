import { connect } from "node:http2";
import { dialProbe, type ProbeDial } from "./probe-connection.ts";

export interface UnaryCall {
  readonly dial: Omit<ProbeDial, "signal">;
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly userAgent: string | undefined;
  /** For the server: how long the caller waits, ms. */
  readonly timeout: number;
  /** The message with its five bytes in front. */
  readonly message: Buffer;
  /** Longest answer, bytes. */
  readonly limit: number;
  readonly signal: AbortSignal;
}

export interface UnaryAnswer {
  readonly httpStatus: number;
  readonly grpcStatus: string | undefined;
  readonly grpcMessage: string | undefined;
  readonly body: Buffer;
}

/**
 * One unary gRPC call without TLS on a connection of its own: what a health probe needs of gRPC, without the four
 * megabytes of a whole client. Rejects when there is no connection or no answer.
 */
export async function callUnary(call: UnaryCall): Promise<UnaryAnswer> {
  const socket = await dialProbe({ ...call.dial, signal: call.signal });
  socket.on("error", () => undefined);
  const { host, port } = call.dial;
  const authority = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const session = connect(`http://${authority}`, { createConnection: () => socket });
  const onAbort = () => socket.destroy(call.signal.reason as Error);
  call.signal.addEventListener("abort", onAbort);
  try {
    return await new Promise((resolve, reject) => {
      session.on("error", reject);
      session.once("close", () => reject(new Error("the connection was closed without an answer")));
      const stream = session.request({
        ":method": "POST",
        ":path": call.path,
        "content-type": "application/grpc",
        te: "trailers",
        "grpc-timeout": `${Math.min(99_999_999, Math.ceil(call.timeout))}m`,
        ...(call.userAgent === undefined ? {} : { "user-agent": call.userAgent }),
      });
      let head: Record<string, unknown> = {};
      const parts: Buffer[] = [];
      let size = 0;
      stream.on("error", reject);
      stream.once("response", (headers) => {
        head = { ...headers };
      });
      stream.once("trailers", (trailers) => {
        head = { ...head, ...trailers };
      });
      stream.on("data", (part: Buffer) => {
        parts.push(part);
        size += part.length;
        if (size > call.limit) reject(new Error(`the answer has more than ${call.limit} bytes`));
      });
      stream.once("end", () => resolve({ ...statusOf(head), body: Buffer.concat(parts, size) }));
      stream.end(call.message);
    });
  } catch (error) {
    throw call.signal.aborted ? call.signal.reason : error;
  } finally {
    call.signal.removeEventListener("abort", onAbort);
    session.destroy();
    socket.destroy();
  }
}

function statusOf(head: Readonly<Record<string, unknown>>): Omit<UnaryAnswer, "body"> {
  const text = (name: string) => {
    const value = head[name];
    return typeof value === "string" || typeof value === "number" ? `${value}` : undefined;
  };
  return {
    httpStatus: Number(head[":status"] ?? 0),
    grpcStatus: text("grpc-status"),
    grpcMessage: text("grpc-message"),
  };
}
