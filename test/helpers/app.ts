import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** When the two parts of /slow are sent, ms. */
const [FIRST_PART, SECOND_PART] = [100, 300];

/**
 * A small HTTP application: `/` at once, `/slow` after a moment and in two parts, `/hold` when `release` is called,
 * `/metrics` a counter.
 */
export interface App {
  readonly port: number;
  /** Requests that wait on /hold. */
  readonly held: () => number;
  /** Answers every held request. */
  readonly release: () => void;
  readonly close: () => Promise<void>;
}

export async function startApp(port = 0): Promise<App> {
  const held = new Set<ServerResponse>();
  let count = 0;
  const server = createServer((request, response) => {
    count += 1;
    if (request.url === "/hold") {
      held.add(response);
      response.once("close", () => held.delete(response));
    } else if (request.url === "/slow") {
      setTimeout(() => response.write("slow "), FIRST_PART);
      setTimeout(() => response.end("answer\n"), SECOND_PART);
    } else if (request.url === "/metrics") {
      response.setHeader("content-type", "text/plain; version=0.0.4");
      response.end(`# TYPE app_requests_total counter\napp_requests_total ${count}\n`);
    } else {
      response.end("hello\n");
    }
  });
  // Envoy would send a request on a connection that ends in the same moment.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    held: () => held.size,
    release: () => {
      for (const response of held) response.end("released\n");
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
