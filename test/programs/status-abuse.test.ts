import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { root } from "../helpers/paths.ts";
import { ask, sendRaw } from "../status/status-fixture.ts";

/** As bin/pilotfish starts us. */
const tuning = [
  "--max-semi-space-size=1",
  "--max-old-space-size=64",
  "--v8-pool-size=1",
  "--no-concurrent-recompilation",
  "--no-concurrent-osr",
  "--no-concurrent-sparkplug",
];

let child: ChildProcess;
let said = "";
let port = 0;
const sockets = new Set<Socket>();

async function start(openFiles?: number): Promise<void> {
  said = "";
  const program = [process.execPath, ...tuning, join(root, "test/programs/status-server-program.ts")];
  const limit = openFiles === undefined ? "" : `ulimit -n ${openFiles};`;
  child = spawn("sh", ["-c", `${limit} exec "$@"`, "sh", ...program], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, MALLOC_ARENA_MAX: "1", MALLOC_TRIM_THRESHOLD_: "65536" },
  });
  child.stdout?.on("data", (part: Buffer) => {
    said += part.toString();
  });
  port = Number(await eventually("the server's port", () => /\(port=(\d+)\)/.exec(said)?.[1]));
}

/** Every server still answers at the end, had no bug, and ends by itself when closed. */
async function finish(): Promise<void> {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  expect((await probe()).status).toBe(200);
  const ended = once(child, "exit");
  child.stdin?.end();
  const killer = setTimeout(() => child.kill("SIGKILL"), 20_000);
  expect(await ended).toEqual([0, null]);
  clearTimeout(killer);
  expect(said).toContain("(bugs=0)");
}

/** timeoutSeconds of the injected probes, ms. */
const KUBELET_WAITS = 3_000;
const probe = (timeout = 20_000) => ask({ port, path: "/healthz/ready", timeout });
const rss = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]) / 1024;
const raw = (text: string, until?: RegExp) => sendRaw({ port, host: "127.0.0.1" }, text, until);

/** An open connection that sends `first` and goes on existing; resets are what we expect for most of them. */
function hold(first: string, localAddress: string): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: "127.0.0.1", localAddress });
    sockets.add(socket);
    socket.resume();
    socket.on("error", () => resolve(socket));
    socket.once("close", () => sockets.delete(socket));
    socket.once("connect", () => {
      if (first !== "") socket.write(first);
      resolve(socket);
    });
  });
}

/** Sends `first`, then `drop` again and again until the server has had enough; what it said. */
async function drip(first: string, drop: string): Promise<string> {
  const socket = await hold(first, "127.0.0.1");
  let answer = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    answer += text;
  });
  const drops = setInterval(() => socket.write(drop), 100);
  await new Promise((resolve) => socket.once("close", resolve));
  clearInterval(drops);
  return answer;
}

describe("many connections", () => {
  beforeEach(() => start());
  afterEach(finish);

  test.each([
    ["that say nothing", "", 10_000],
    ["that stop in the middle of a header", "GET /healthz/ready HTTP/1.1\r\nHost: x\r\nX-Slow: ", 5_000],
    ["that are kept alive after a request", "GET /healthz/ready HTTP/1.1\r\nHost: x\r\n\r\n", 5_000],
    ["that send a body without an end", "POST /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", 5_000],
  ])("%s: memory is bounded and probes are answered meanwhile", async (_title, first, count) => {
    const before = rss();
    const statuses: number[] = [];
    for (let opened = 0; opened < count; opened += 250) {
      // From 250 addresses, as a flood from the network would come; the probe comes in the middle of it.
      const flood = Array.from({ length: 250 }, (_, index) => hold(first, `127.1.0.${index + 1}`));
      statuses.push((await probe(KUBELET_WAITS)).status);
      await Promise.all(flood);
    }
    expect(new Set(statuses)).toEqual(new Set([200]));
    await eventually("no more than the soft limit is left", () => sockets.size <= 300);
    expect(rss() - before).toBeLessThan(64);
  });
});

describe("few descriptors", () => {
  beforeEach(() => start(96));
  afterEach(finish);

  test("more connections than may be open: probes are answered meanwhile", async () => {
    const statuses: number[] = [];
    for (let round = 0; round < 10; round++) {
      await Promise.all(Array.from({ length: 100 }, (_, index) => hold("", `127.1.0.${index + 1}`)));
      statuses.push((await probe()).status);
    }
    expect(new Set(statuses)).toEqual(new Set([200]));
  });
});

describe("one bad client", () => {
  beforeAll(() => start());
  afterAll(finish);

  test("a pipeline is answered in order", async () => {
    const paths = ["/healthz/ready", "/nope", "/metrics", "/drain"];
    const text = paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join("");
    const answer = await raw(text, /405 Method/);
    expect([...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map((one) => one[1])).toEqual(["200", "404", "200", "405"]);
  });

  test("a pipeline of thousands of scrapes is cut off instead of being worked through", async () => {
    const before = rss();
    const answer = await raw("GET /stats/prometheus HTTP/1.1\r\nHost: x\r\n\r\n".repeat(5_000));
    expect([...answer.matchAll(/HTTP\/1\.1 200/g)].length).toBeLessThanOrEqual(16);
    expect(rss() - before).toBeLessThan(150);
  });

  test("a scraper that does not read its answer holds one answer and nobody else", async () => {
    const socket = await hold("GET /stats/prometheus HTTP/1.1\r\nHost: x\r\n\r\n", "127.0.0.1");
    socket.pause();
    for (let one = 0; one < 20; one++) expect((await probe()).status).toBe(200);
  });

  test.each<readonly [title: string, text: string, answer: RegExp]>([
    ["no HTTP at all", "hello\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", /^HTTP\/1\.1 400 /],
    ["HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["no Host", "GET /healthz/ready HTTP/1.1\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["HTTP/1.0", "GET /healthz/ready HTTP/1.0\r\n\r\n", /^HTTP\/1\.1 200 /],
    [
      "two lengths",
      "POST /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
      /^HTTP\/1\.1 400 /,
    ],
    [
      "length and chunks (smuggling)",
      "POST /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      /^HTTP\/1\.1 400 /,
    ],
    [
      "a bad chunk",
      "POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      /^(HTTP\/1\.1 4\d\d |$)/,
    ],
    ["a method that nobody knows", "BREW /healthz/ready HTTP/1.1\r\nHost: x\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["CONNECT", "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n", /^(?!HTTP\/1\.1 2)/],
    [
      "a huge address",
      `GET /${"a".repeat(8_000)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      /^HTTP\/1\.1 414 /,
    ],
    ["a huger address", `GET /${"a".repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, /^HTTP\/1\.1 431 /],
    ["huge headers", `GET /metrics HTTP/1.1\r\nHost: x\r\n${"X-A: b\r\n".repeat(20_000)}\r\n`, /^HTTP\/1\.1 431 /],
    [
      "an announced body that is too large",
      "POST /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n",
      /^HTTP\/1\.1 413 /,
    ],
    [
      "a body without an end",
      `POST /drain HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${`400\r\n${"x".repeat(1_024)}\r\n`.repeat(100)}`,
      /^HTTP\/1\.1 413 /,
    ],
    [
      "an upgrade",
      "GET /healthz/ready HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n",
      /^HTTP\/1\.1 200 /,
    ],
    [
      "an impossible expectation",
      "GET /metrics HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\nConnection: close\r\n\r\n",
      /^HTTP\/1\.1 417 /,
    ],
    ["a null byte", "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", /^HTTP\/1\.1 400 /],
  ])("%s", async (_title, text, answer) => {
    expect(await raw(text, answer.source === "^HTTP\\/1\\.1 200 " ? answer : undefined)).toMatch(answer);
  });

  test("headers and a body that come drop by drop, always just in time, end by our clock; probes are answered", async () => {
    const drips = [
      drip("GET /healthz/ready HTTP/1.1\r\nHost: x\r\n", "X-A: b\r\n"),
      drip("POST /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n", "x"),
    ];
    let over = false;
    const all = Promise.all(drips).finally(() => {
      over = true;
    });
    const statuses = new Set<number>();
    while (!over) statuses.add((await probe(KUBELET_WAITS)).status);
    expect((await all).map((one) => /^HTTP\/1\.1 (\d+)/.exec(one)?.[1])).toEqual(["408", "408"]);
    expect(statuses).toEqual(new Set([200]));
  });

  test("headers that stop and a body that never comes end by our clock", async () => {
    const [headers, body] = await Promise.all([
      raw("GET /healthz/ready HTTP/1.1\r\nHost: x\r\n"),
      raw("POST /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nx"),
    ]);
    expect([headers, body].map((one) => /^HTTP\/1\.1 (\d+)/.exec(one)?.[1])).toEqual(["408", "408"]);
  });

  test("a request that is smuggled behind a refused body is never served", async () => {
    const answer = await raw(
      "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nPOST /drain HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    expect([...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map((one) => one[1])).toEqual(["413"]);
  });
});
