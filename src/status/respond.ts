import type { IncomingMessage, ServerResponse } from "node:http";
import type { Json } from "../config/agent-config.ts";
import { type Clock, type Millis, within } from "../foundation/time.ts";

const TEXT = "text/plain; charset=utf-8";
const JSON_TYPE = "application/json";

export interface Reply {
  readonly status: number;
  readonly body?: string | Buffer;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One whole answer: typed, with its length, never stored by anybody; only the head for HEAD. */
export function reply(response: ServerResponse, { status, body = "", type = TEXT, headers }: Reply): void {
  if (response.headersSent || response.destroyed) return;
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  const bodiless = status === 204 || status === 304;
  response.writeHead(status, {
    "cache-control": "no-store",
    "content-type": type,
    "x-content-type-options": "nosniff",
    ...(bodiless ? {} : { "content-length": bytes.length }),
    ...headers,
  });
  response.end(bodiless || response.req.method === "HEAD" ? undefined : bytes);
}

export function replyText(response: ServerResponse, status: number, text: string, headers?: Reply["headers"]): void {
  reply(response, { status, body: text, ...(headers === undefined ? {} : { headers }) });
}

export function replyJson(response: ServerResponse, status: number, value: Json): void {
  reply(response, { status, body: `${JSON.stringify(value, null, 2)}\n`, type: JSON_TYPE });
}

/** Whether the caller asked for JSON in so many words; `*` + `/*` is no wish. */
export const wantsJson = (request: IncomingMessage, query: URLSearchParams): boolean =>
  query.get("format") === "json" || /\bapplication\/json\b/i.test(request.headers.accept ?? "");

/** Longest body that is read to its end, bytes: nothing here takes one. */
const BODY_LIMIT = 4_096;
/** Shorter than node:http's limit for a whole request, which would cut the connection without a word. */
const BODY_WITHIN: Millis = 5_000;

/** Reads and forgets a request's body, so that the connection can go on. */
export async function discardBody(request: IncomingMessage, clock: Clock): Promise<"done" | "too-large" | "too-slow"> {
  const { "content-length": length, "transfer-encoding": encoding } = request.headers;
  if (length === undefined && encoding === undefined) return "done";
  if (Number(length ?? 0) > BODY_LIMIT) return "too-large";
  const read = new Promise<"done" | "too-large">((resolve) => {
    let size = 0;
    request.on("data", (part: Buffer) => {
      size += part.length;
      if (size <= BODY_LIMIT) return;
      request.pause();
      resolve("too-large");
    });
    // "close" comes after "end", and alone when the caller has gone: then nobody reads the answer.
    request.once("end", () => resolve("done"));
    request.once("close", () => resolve("done"));
  });
  const waited = await within(clock, BODY_WITHIN, read);
  return waited.timedOut ? "too-slow" : waited.value;
}
