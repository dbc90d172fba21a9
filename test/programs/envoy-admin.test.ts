import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { EnvoyAdmin } from "../../src/process/envoy-admin.ts";

/* What the client of Envoy's admin asks, word for word, and what it makes of an admin that is slow or talks nonsense. */

let server: Server | undefined;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function adminOf(answer: RequestListener): Promise<EnvoyAdmin> {
  const started = createServer(answer);
  server = started;
  await new Promise<void>((resolve) => started.listen(0, "127.0.0.1", resolve));
  return new EnvoyAdmin({ host: "127.0.0.1", port: (started.address() as AddressInfo).port });
}

test.each([
  ["a sidecar", { inboundOnly: true, skipExit: false }, "POST /drain_listeners?inboundonly&graceful"],
  ["a gateway", { inboundOnly: false, skipExit: false }, "POST /drain_listeners?graceful"],
  [
    "a sidecar before its stop",
    { inboundOnly: true, skipExit: true },
    "POST /drain_listeners?inboundonly&graceful&skip_exit",
  ],
])("%s is told to drain", async (_title, how, expected) => {
  const seen: string[] = [];
  const admin = await adminOf((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    response.end("OK\n");
  });
  await admin.drainListeners(how);
  expect(seen).toEqual([expected]);
});

test("a slow admin is a reason, after its time and not for ever", async () => {
  const admin = await adminOf(() => undefined);
  await expect(admin.serverInfo(50)).rejects.toThrow("Envoy's admin does not answer: no answer within 50 ms");
});

test("an admin that stops in the middle of its answer is a reason", async () => {
  const admin = await adminOf((_request, response) => response.write('{"state":'));
  await expect(admin.serverInfo(50)).rejects.toThrow("Envoy's admin does not answer");
});

test("an error and nonsense are reasons", async () => {
  const refusing = await adminOf((_request, response) => response.writeHead(503).end());
  await expect(refusing.serverInfo()).rejects.toThrow("Envoy's admin answered 503");
  server?.close();
  const babbling = await adminOf((_request, response) => response.end("hello"));
  await expect(babbling.serverInfo()).rejects.toThrow();
});
