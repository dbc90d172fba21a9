import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { ProbeSettings } from "../../src/config/agent-config.ts";
import { eventually } from "../helpers/eventually.ts";
import { root, temporaryFolder } from "../helpers/paths.ts";
import { bytes, ProbeServers, plain } from "../status/probe-servers.ts";
import { ask, type Fixture, startStatus } from "../status/status-fixture.ts";

const folder = temporaryFolder("probe-ways");
let servers: ProbeServers;
let open: Fixture[] = [];
let pair: ReturnType<ProbeServers["certificate"]>;

beforeAll(() => {
  servers = new ProbeServers(folder.path);
  pair = servers.certificate(2_048);
});
afterEach(async () => {
  for (const { server, bugs } of open) {
    await server.close();
    expect(bugs).toEqual([]);
  }
  open = [];
});
afterAll(() => {
  servers.done();
  folder.done();
});

/** A status server with one probe; the result asks it. */
async function probing(httpGet: object, probes: Partial<ProbeSettings>, podAddress = "127.0.0.1") {
  const status = await startStatus({
    configured: {
      appProbers: JSON.stringify({ "/app-health/a/livez": { httpGet, timeoutSeconds: 5 } }),
      probes: { http2: true, legacyLocalhost: false, keepAlive: false, ...probes },
      node: { ipAddresses: [podAddress] } as never,
    },
  });
  open.push(status);
  return () => ask({ port: status.port, path: "/app-health/a/livez" });
}

const keepsOpen = bytes("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false);

describe("keep-alive", () => {
  test("off: a connection each; on: one for all", async () => {
    const port = await servers.raw({ "/": keepsOpen });
    for (const [keepAlive, expected] of [
      [false, 3],
      [true, 1],
    ] as const) {
      const probe = await probing({ port }, { keepAlive });
      const before = servers.connections;
      for (let one = 0; one < 3; one++) expect(await probe()).toMatchObject({ status: 200, body: "ok" });
      expect(servers.connections - before).toBe(expected);
      expect(servers.seen.get("/")?.request).toContain(`Connection: ${keepAlive ? "keep-alive" : "close"}`);
    }
  });

  test("HTTP/2 sessions are kept, too, and many probes leave no listener behind", async () => {
    const port = await servers.http2(pair);
    const probe = await probing({ port, scheme: "HTTPS", path: "/x" }, { keepAlive: true });
    const before = servers.connections;
    for (let one = 0; one < 30; one++) expect((await probe()).body).toMatch(/^2\.0/);
    expect(servers.connections - before).toBe(1);
  });

  test("one that the application closed meanwhile is replaced without a failed probe", async () => {
    let first: (() => void) | undefined;
    const port = await servers.raw({
      "/": (socket, request, at) => {
        first ??= () => socket.destroy();
        keepsOpen(socket, request, at);
      },
    });
    const probe = await probing({ port }, { keepAlive: true });
    expect((await probe()).status).toBe(200);
    first?.();
    expect((await probe()).status).toBe(200);
    expect((await probe()).status).toBe(200);
  });

  test("one that dies of the next request is tried once more on a fresh one", async () => {
    let requests = 0;
    const port = await servers.raw({
      "/": (socket, request, at) => {
        requests += 1;
        if (requests === 2) socket.destroy();
        else keepsOpen(socket, request, at);
      },
    });
    const probe = await probing({ port }, { keepAlive: true });
    expect((await probe()).status).toBe(200);
    expect((await probe()).status).toBe(200);
    expect(requests).toBe(3);
  });

  test("nothing is kept when the application says close, or after a cut body", async () => {
    const port = await servers.raw({ "/": plain("200 OK", "x".repeat(20_000), "Connection: close\r\n") });
    const probe = await probing({ port }, { keepAlive: true });
    const before = servers.connections;
    for (let one = 0; one < 3; one++) expect((await probe()).status).toBe(200);
    expect(servers.connections - before).toBe(3);
  });
});

describe("switches", () => {
  test("without HTTP/2 an application that has both speaks HTTP/1.1", async () => {
    const port = await servers.http2(pair);
    const probe = await probing({ port, scheme: "HTTPS", path: "/x" }, { http2: false });
    expect((await probe()).body).toMatch(/^1\.1/);
  });

  test("legacy localhost: asked there whatever the pod's address is, and redirects to localhost are followed", async () => {
    const port = await servers.raw({
      "/": (socket, request, at) =>
        plain("302 Moved", "", `Location: http://localhost:${at}/there\r\n`)(socket, request, at),
      "/there": plain("200 OK", "there"),
    });
    const legacy = await probing({ port }, { legacyLocalhost: true }, "192.0.2.77");
    expect(await legacy()).toMatchObject({ status: 200, body: "there" });
    expect(servers.seen.get("/there")?.from).toBe("127.0.0.6");
    // The same redirect seen from the pod's address leads elsewhere, which is a success by itself.
    const usual = await probing({ port }, {});
    expect(await usual()).toMatchObject({ status: 200, body: "" });
  });
});

describe("telling", () => {
  test("a failure and its end are logged once, not once a probe", async () => {
    const lines: string[] = [];
    const log = {
      debug: () => undefined,
      info: (text: string) => lines.push(text),
      warn: (text: string) => lines.push(text),
      error: () => undefined,
      scoped: () => log,
    } as never;
    let healthy = true;
    const port = await servers.raw({
      "/": (socket, request, at) => plain(healthy ? "200 OK" : "503 Busy", "")(socket, request, at),
    });
    const status = await startStatus({
      log,
      configured: { appProbers: JSON.stringify({ "/app-health/a/livez": { httpGet: { port } } }) },
    });
    open.push(status);
    for (const next of [true, false, false, false, true, true]) {
      healthy = next;
      await ask({ port: status.port, path: "/app-health/a/livez" });
    }
    expect(lines.filter((one) => one.includes("probe"))).toEqual([
      "The application's probe fails",
      "The application's probe succeeds again",
    ]);
  });

  test("a flood of probes is not passed on to the application", async () => {
    const waiting: (() => void)[] = [];
    const port = await servers.raw({
      "/": (socket, request, at) => {
        waiting.push(() => plain("200 OK", "")(socket, request, at));
      },
    });
    const probe = await probing({ port }, {});
    let refused = 0;
    const probes = Array.from({ length: 100 }, async () => {
      const { status } = await probe();
      if (status === 503) refused += 1;
      return status;
    });
    await eventually(
      "as many as may wait at the application, the others refused",
      () => waiting.length + refused === 100,
    );
    expect(waiting).toHaveLength(64);
    for (const one of waiting) one();
    expect((await Promise.all(probes)).filter((one) => one === 200)).toHaveLength(64);
  });
});

test("an IPv6 pod: from ::6 where the machine has it, else from where it can", () => {
  const words = [process.geteuid?.() === 0 ? "-n" : "-rn", "--", process.execPath];
  const program = join(root, "test/programs/status-probe-ipv6-program.ts");
  const text = execFileSync("unshare", [...words, program], { encoding: "utf8", timeout: 50_000 });
  const expected = { http: 200, tcp: 200, body: "hello", host: "[fd00:9::7]:8080", bugs: 0 };
  expect(
    text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown),
  ).toEqual([
    { ...expected, from: "fd00:9::7" },
    { ...expected, from: "::6" },
  ]);
});
