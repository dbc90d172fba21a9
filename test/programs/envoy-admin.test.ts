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

test("its state alone is what GET /ready says, which is 503 for everything but LIVE", async () => {
  const seen: string[] = [];
  let [status, text] = [200, "LIVE\n"];
  const admin = await adminOf((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    response.writeHead(status).end(text);
  });
  expect(await admin.state()).toBe("LIVE");
  [status, text] = [503, "PRE_INITIALIZING\n"];
  expect(await admin.state()).toBe("PRE_INITIALIZING");
  status = 404;
  await expect(admin.state()).rejects.toThrow("Envoy's admin answered 404 to GET /ready");
  expect(seen).toEqual(["GET /ready", "GET /ready", "GET /ready"]);
});

test("connections are counted by their listeners, and totals alone are asked for alone", async () => {
  const seen: string[] = [];
  const admin = await adminOf((request, response) => {
    seen.push(decodeURIComponent(String(request.url)));
    response.end(
      [
        "listener.0.0.0.0_15006.downstream_cx_active: 3",
        "listener.0.0.0.0_15006.downstream_cx_total: 7",
        "listener.0.0.0.0_15090.downstream_cx_total: 100",
        "listener.admin.downstream_cx_total: 1000",
      ].join("\n"),
    );
  });
  const roles = { own: new Set([15090]), outbound: new Set([15001]) };
  expect(await admin.connections(roles)).toEqual({ active: 3, inboundActive: 3, inboundTotal: 7 });
  expect(await admin.inboundTotal(roles)).toBe(7);
  expect(seen).toEqual([
    "/stats?usedonly&filter=^listener\\..*downstream_(cx_active|pre_cx_active|cx_total)$",
    "/stats?usedonly&filter=^listener\\..*downstream_(cx_total)$&type=Counters",
  ]);
});

test("an answer that is too large is a reason", async () => {
  const admin = await adminOf((_request, response) => response.end("x".repeat(4 * 1024 * 1024 + 1)));
  await expect(admin.listeners()).rejects.toThrow(
    "Envoy's admin does not answer: the answer has more than 4194304 bytes",
  );
});
