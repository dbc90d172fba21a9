import { type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import type { HttpTarget } from "./http-client.ts";

/** An answer whose head is here and whose body is still to be read. */
export interface BodyStream {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /**
   * The body, piece by piece as it comes; nothing is read ahead of the consumer but what the kernel and one piece hold.
   * Throws when the body is cut off before its end.
   */
  body(): AsyncIterable<Buffer>;
  /** Gives up: the connection is closed. Harmless when it is over. */
  close(): void;
}

export interface BodyRequest {
  readonly to: HttpTarget;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Closes the connection at any time; the reason reaches whoever waits. */
  readonly signal: AbortSignal;
}

/** GET on a fresh connection; resolves with the head. Rejects with Node's error or with the signal's reason. */
export function openBody({ to, path, headers, signal }: BodyRequest): Promise<BodyStream> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const outgoing = request({ ...to, path, headers, agent: false });
    const onAbort = (): void => {
      outgoing.destroy(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    outgoing.once("close", () => signal.removeEventListener("abort", onAbort));
    // Also after the head: errors of the body reach its reader, and without one they must not end the process.
    outgoing.on("error", reject);
    outgoing.once("response", (incoming) => {
      incoming.on("error", () => undefined);
      resolve({
        status: incoming.statusCode ?? 0,
        headers: incoming.headers,
        body: () => whole(incoming, signal),
        close: () => void outgoing.destroy(),
      });
    });
    outgoing.end();
  });
}

async function* whole(incoming: IncomingMessage, signal: AbortSignal): AsyncGenerator<Buffer> {
  for await (const piece of incoming as AsyncIterable<Buffer>) yield piece;
  signal.throwIfAborted();
  if (!incoming.complete) throw new Error("the answer was cut off");
}
