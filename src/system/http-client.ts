import { type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";

/** Where a small HTTP/1.1 request goes. */
export type HttpTarget =
  | { readonly host: string; readonly port: number }
  /** A unix socket's path. */
  | { readonly socketPath: string };

export interface HttpRequest {
  readonly to: HttpTarget;
  readonly method?: string;
  /** Path with query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** For the whole exchange, in ms. */
  readonly timeout: number;
  /** Longest body that is taken, in bytes; a longer one is an error. */
  readonly limit?: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/**
 * One request on a fresh connection (a pooled one may belong to an Envoy that is draining: features.md 4.2), bounded in
 * time and size. Rejects with Node's error, or with "no answer within N ms" / "the answer has more than N bytes".
 */
export function httpRequest(options: HttpRequest): Promise<HttpAnswer> {
  const limit = options.limit ?? 1024 * 1024;
  return new Promise((resolve, reject) => {
    const outgoing = request({
      ...options.to,
      method: options.method ?? "GET",
      path: options.path,
      headers: {
        ...options.headers,
        ...(options.body === undefined ? {} : { "content-length": Buffer.byteLength(options.body) }),
      },
      agent: false,
    });
    const timer = setTimeout(
      () => outgoing.destroy(new Error(`no answer within ${options.timeout} ms`)),
      options.timeout,
    );
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(error);
    };
    outgoing.once("error", fail);
    outgoing.once("response", (incoming) => {
      collect(incoming, limit).then((body) => {
        clearTimeout(timer);
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body });
      }, fail);
    });
    outgoing.end(options.body);
  });
}

async function collect(incoming: IncomingMessage, limit: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of incoming as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > limit) {
      incoming.destroy();
      throw new Error(`the answer has more than ${limit} bytes`);
    }
    parts.push(part);
  }
  if (!incoming.complete) throw new Error("the answer was cut off");
  return Buffer.concat(parts, size);
}
