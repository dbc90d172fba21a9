import type { IncomingHttpHeaders } from "node:http2";
import { describeError } from "../foundation/errors.ts";
import { decodeMessage, grpcStatus } from "../protocol/grpc-status.ts";
import type { UpstreamStream } from "./upstream.ts";

/** How the control plane's side of a stream ended, as Envoy is told it. */
export interface UpstreamEnd {
  readonly code: number;
  readonly text: string;
}

/** Calls `onHeaders` when the answer begins, and `onEnd` once when it is over, whoever ended it. */
export function listenForEnd(
  { stream }: UpstreamStream,
  address: string,
  onHeaders: (headers: Record<string, string>) => void,
  onEnd: (end: UpstreamEnd) => void,
): void {
  let trailers: IncomingHttpHeaders | undefined;
  let lost: unknown;
  let over = false;
  const settle = (): void => {
    if (over) return;
    over = true;
    onEnd(trailers === undefined ? lostConnection(address, lost) : fromTrailers(trailers));
  };
  stream.once("response", (headers) => {
    if (headers["grpc-status"] !== undefined) trailers = headers;
    else if (headers[":status"] !== 200) lost = new Error(`it answered with HTTP status ${headers[":status"]}`);
    else onHeaders(passedOn(headers));
  });
  stream.once("trailers", (headers) => {
    trailers = headers;
  });
  stream.on("error", (error) => {
    lost = error;
  });
  // After its trailers nothing can come; "close" would wait for our own half.
  stream.once("end", () => {
    if (trailers !== undefined) settle();
  });
  stream.once("close", settle);
}

const fromTrailers = (headers: IncomingHttpHeaders): UpstreamEnd => ({
  code: Number(headers["grpc-status"] ?? grpcStatus.unknown),
  text: decodeMessage(String(headers["grpc-message"] ?? "")),
});

const lostConnection = (address: string, error: unknown): UpstreamEnd => ({
  code: grpcStatus.unavailable,
  text: `the connection to the control plane at ${address} was lost${error === undefined ? "" : `: ${describeError(error)}`}`,
});

/** Metadata of the control plane that Envoy may want to see. */
const passedOn = (headers: IncomingHttpHeaders): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      name.startsWith(":") || name === "content-type" || typeof value !== "string" ? [] : [[name, value]],
    ),
  );
