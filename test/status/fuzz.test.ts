import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, type Fixture, sendRaw, startStatus } from "./status-fixture.ts";

let status: Fixture;

beforeAll(async () => {
  status = await startStatus({
    configured: { appProbers: JSON.stringify({ "/app-health/a/livez": { tcpSocket: { port: 1 } } }) },
  });
});
afterAll(async () => {
  await status.server.close();
});

const method = fc.constantFrom("GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE", "CONNECT", "get", "");
const path = fc.oneof(
  fc.constantFrom("/healthz/ready", "/drain", "/app-health/a/livez", "/debug/config", "*", "//", "http://x/drain"),
  fc.webPath(),
  fc.string({ unit: "binary", maxLength: 40 }),
);
const header = fc.oneof(
  fc.constantFrom(
    "Host: x",
    "Content-Length: 3",
    "Content-Length: -1",
    "Transfer-Encoding: chunked",
    "Expect: 100-continue",
    "Connection: keep-alive, close",
    "Accept: application/json",
    ": x",
    "Upgrade: h2c",
  ),
  fc.string({ unit: "binary", maxLength: 30 }),
);
const body = fc.oneof(
  fc.constantFrom("", "abc", "3\r\nabc\r\n0\r\n\r\n", "zz\r\n"),
  fc.string({ unit: "binary", maxLength: 200 }),
);
const request = fc
  .record({
    method,
    path,
    version: fc.constantFrom("HTTP/1.1", "HTTP/1.0", "HTTP/9.9", ""),
    headers: fc.array(header, { maxLength: 5 }),
    body,
  })
  .map((one) => [`${one.method} ${one.path} ${one.version}`, ...one.headers, "", one.body].join("\r\n"));

test("whatever comes, it is answered with HTTP or cut off, and the server goes on", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 3 }), async (requests) => {
      // The last one asks for the end, so that no case has to wait for a time-out of the server's; half of one is cut by us.
      const text = `${requests.join("")}\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
      const answer = await sendRaw({ port: status.port, host: "127.0.0.1" }, text, /connection: close/i);
      if (answer !== "") expect(answer).toMatch(/^HTTP\/1\.1 \d{3} /);
    }),
    { numRuns: 300, interruptAfterTimeLimit: 5_000 },
  );
  expect(status.bugs).toEqual([]);
  expect((await ask({ port: status.port, path: "/healthz/ready" })).status).toBe(200);
});
