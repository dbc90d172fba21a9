import { request } from "node:http";
import type { HttpRequest } from "./http-client.ts";

/**
 * One request on a fresh connection whose body is handed on as it comes, whatever its size; the result is the status.
 * Rejects with Node's error, "no answer within N ms" (for the whole exchange) or "the answer was cut off".
 */
export function httpStream(options: Omit<HttpRequest, "limit">, onPart: (part: Uint8Array) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    const length = options.body === undefined ? undefined : Buffer.byteLength(options.body);
    const outgoing = request({
      ...options.to,
      method: options.method ?? "GET",
      path: options.path,
      headers: { ...options.headers, ...(length === undefined ? {} : { "content-length": length }) },
      agent: false,
    });
    const timer = setTimeout(() => fail(new Error(`no answer within ${options.timeout} ms`)), options.timeout);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      outgoing.destroy();
      reject(error);
    };
    outgoing.on("error", fail);
    outgoing.once("response", (incoming) => {
      incoming.on("data", onPart);
      incoming.once("error", fail);
      incoming.once("close", () => {
        if (!incoming.complete) return fail(new Error("the answer was cut off"));
        clearTimeout(timer);
        resolve(incoming.statusCode ?? 0);
      });
    });
    outgoing.end(options.body);
  });
}
