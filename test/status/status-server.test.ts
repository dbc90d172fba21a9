import { existsSync, lstatSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Unavailable } from "../../src/foundation/errors.ts";
import { noLog } from "../../src/foundation/log.ts";
import { HttpFront } from "../../src/status/http-front.ts";
import { realClock } from "../../src/system/clock.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { temporaryFolder } from "../helpers/paths.ts";
import { ask, type Fixture, sendRaw, startStatus, statusConfig } from "./status-fixture.ts";

let folder: ReturnType<typeof temporaryFolder>;
let path: string;
let status: Fixture;

beforeEach(async () => {
  folder = temporaryFolder("status");
  path = join(folder.path, "pilotfish.sock");
  status = await startStatus({}, path);
});
afterEach(async () => {
  await status.server.close();
  expect(status.bugs).toEqual([]);
  folder.done();
});

const get = (target: string, headers: Readonly<Record<string, string>> = {}) =>
  ask({ port: status.port, path: target, headers });

describe("routes by method", () => {
  const routes: readonly (readonly [path: string, get: number, post: number])[] = [
    ["/healthz/ready", 200, 405],
    ["/metrics", 200, 405],
    ["/stats/prometheus", 200, 405],
    ["/stats/prometheus?usedonly", 200, 405],
    ["/quitquitquit", 405, 200],
    ["/drain", 405, 200],
    ["/hot-restart", 405, 409],
    ["/debug/heap", 200, 405],
    ["/debug/heap?snapshot", 403, 405],
    ["/debug/cpu?seconds=0.01", 200, 405],
    ["/debug/cpu?seconds=31", 400, 405],
    ["/debug/cpu?seconds=-1", 400, 405],
    ["/debug/cpu?seconds=1e1", 400, 405],
    ["/debug/config", 200, 405],
    ["/debug/resources", 200, 405],
    ["/debug/ndsz", 404, 405],
    ["/debug", 404, 404],
    ["/", 404, 404],
    ["/healthz/ready/", 404, 404],
    ["//healthz/ready", 404, 404],
    ["/quitquitquit/../metrics", 404, 404],
    ["/%71uitquitquit", 404, 404],
  ];

  test.each(routes)("%s", async (target, onGet, onPost) => {
    for (const [method, expected] of [
      ["GET", onGet],
      ["HEAD", onGet],
      ["POST", onPost],
      ["PUT", onGet === 404 && onPost === 404 ? 404 : 405],
      ["DELETE", onGet === 404 && onPost === 404 ? 404 : 405],
      ["OPTIONS", onGet === 404 && onPost === 404 ? 404 : 405],
    ] as const) {
      const answer = await ask({ port: status.port, path: target, method });
      expect([method, answer.status]).toEqual([method, expected]);
      if (answer.status === 405) expect(answer.headers.allow).toMatch(onPost === 405 ? "GET, HEAD" : "POST");
      if (method === "HEAD") expect(answer.body).toBe("");
      if (target.startsWith("/metrics") || target.startsWith("/stats")) continue;
      expect(answer.headers["cache-control"]).toBe("no-store");
      expect(answer.headers["content-type"]).toMatch(/^(text\/plain; charset=utf-8|application\/json)$/);
      expect(Number(answer.headers["content-length"])).toBeGreaterThanOrEqual(answer.body.length);
    }
  });

  test("a wish says what and from whom", async () => {
    await ask({ port: status.port, path: "/drain", method: "POST" });
    await ask({ port: status.port, path: "/quitquitquit", method: "POST", localAddress: "127.0.0.9" });
    await ask({ socketPath: path, path: "/quitquitquit?drain", method: "POST" });
    expect(status.wishes).toEqual([
      { ask: "drain", from: "127.0.0.1" },
      { ask: "quit", drain: false, from: "127.0.0.9" },
      { ask: "quit", drain: true, from: expect.stringMatching(/^process \d+ of uid \d+$/) },
    ]);
  });

  test("a refused wish is a 409 with the reason", async () => {
    const answer = await ask({ port: status.port, path: "/hot-restart", method: "POST" });
    expect(answer).toMatchObject({ status: 409, body: "refused: there is no hot restart yet\n" });
  });

  test("the peer's own words where scripts could look at them", async () => {
    expect((await ask({ port: status.port, path: "/quitquitquit", method: "POST" })).body).toBe("OK");
    expect(await get("/debug/ndsz")).toMatchObject({ status: 404, body: "{}" });
  });
});

describe("readiness", () => {
  test("200 is empty; 503 says the first reason", async () => {
    expect(await get("/healthz/ready")).toMatchObject({ status: 200, body: "" });
    status.standing = { ready: false, reason: "waiting for LDS" };
    expect(await get("/healthz/ready")).toMatchObject({ status: 503, body: "not ready: envoy: waiting for LDS\n" });
  });

  test("JSON and all contributors on request", async () => {
    status.standing = { ready: false, reason: "starting" };
    const expected = {
      ready: false,
      reason: "envoy: starting",
      contributors: [
        { name: "envoy", ready: false, text: "starting" },
        { name: "lds", ready: true, text: "12 listeners" },
      ],
    };
    for (const answer of [
      await get("/healthz/ready?format=json"),
      await get("/healthz/ready", { accept: "text/html, application/json;q=0.5" }),
      await ask({ socketPath: path, path: "/healthz/ready?format=json" }),
    ]) {
      expect(answer.status).toBe(503);
      expect(JSON.parse(answer.body)).toEqual(expected);
    }
    expect((await get("/healthz/ready", { accept: "*/*" })).body).toMatch(/^not ready/);
    expect((await get("/healthz/ready?verbose")).body).toBe("[-] envoy: starting\n[+] lds: 12 listeners\nnot ready\n");
  });

  test("it is not kept: ready, not ready, ready again", async () => {
    const seen: number[] = [];
    for (const ready of [true, false, true, false]) {
      status.standing = ready ? { ready } : { ready, reason: "x" };
      seen.push((await get("/healthz/ready")).status);
    }
    expect(seen).toEqual([200, 503, 200, 503]);
  });
});

describe("access", () => {
  test("Envoy's inbound side and other web pages may not use what changes or reveals", async () => {
    for (const target of [
      "/quitquitquit",
      "/drain",
      "/hot-restart",
      "/debug/config",
      "/debug/heap",
      "/debug/resources",
      "/debug/ndsz",
    ]) {
      const method = target.startsWith("/debug") ? "GET" : "POST";
      const asked = { port: status.port, path: target, method };
      expect((await ask({ ...asked, localAddress: "127.0.0.6" })).status).toBe(403);
      expect((await ask({ ...asked, headers: { origin: "https://evil.example" } })).status).toBe(403);
    }
    expect(status.wishes).toEqual([]);
    expect((await ask({ port: status.port, path: "/healthz/ready?verbose", localAddress: "127.0.0.6" })).body).toBe("");
  });

  test("with the loopback way closed only the unix socket is left", async () => {
    const closed = await startStatus({ configured: { loopbackControl: false } }, join(folder.path, "2.sock"));
    expect((await ask({ port: closed.port, path: "/drain", method: "POST" })).status).toBe(403);
    expect((await ask({ port: closed.port, path: "/healthz/ready" })).status).toBe(200);
    expect((await ask({ socketPath: join(folder.path, "2.sock"), path: "/drain", method: "POST" })).status).toBe(200);
    await closed.server.close();
  });

  test("metrics for this pod only, when METRICS_LOCALHOST_ACCESS_ONLY says so", async () => {
    const closed = await startStatus({ metricsLocalhostOnly: true });
    for (const target of ["/metrics", "/stats/prometheus"]) {
      expect((await ask({ port: closed.port, path: target })).status).toBe(200);
      expect((await ask({ port: closed.port, path: target, localAddress: "127.0.0.6" })).status).toBe(403);
      expect((await ask({ port: status.port, path: target, localAddress: "127.0.0.6" })).status).toBe(200);
    }
    await closed.server.close();
  });

  test("a heap snapshot only through the unix socket", async () => {
    const answer = await ask({ socketPath: path, path: "/debug/heap?snapshot" });
    expect(answer.status).toBe(200);
    expect(Object.keys(JSON.parse(answer.body) as object)).toContain("snapshot");
  });

  test("without --profiling there is neither heap nor cpu", async () => {
    const plain = await startStatus({ configured: { profiling: false } });
    expect((await ask({ port: plain.port, path: "/debug/heap" })).status).toBe(404);
    expect((await ask({ port: plain.port, path: "/debug/cpu" })).status).toBe(404);
    expect((await ask({ port: plain.port, path: "/debug/config" })).status).toBe(200);
    await plain.server.close();
  });
});

describe("routes that fail", () => {
  test("a throw is a 500 and no end of the server; after the head it cuts the answer", async () => {
    const broken = await startStatus({
      serveMetrics: () => {
        throw new Error("boom");
      },
      serveMerged: (_request, response) => {
        response.writeHead(200, { "content-length": 100 });
        response.write("half");
        throw new Error("boom");
      },
    });
    expect(await ask({ port: broken.port, path: "/metrics" })).toMatchObject({ status: 500, body: "internal error\n" });
    await expect(ask({ port: broken.port, path: "/stats/prometheus" })).rejects.toThrow(/aborted|hang up/);
    expect((await ask({ port: broken.port, path: "/healthz/ready" })).status).toBe(200);
    expect(broken.bugs).toEqual([]);
    await broken.server.close();
  });

  test("eleven scrapes at once: ten are served, one is told to come again", async () => {
    const release: (() => void)[] = [];
    const slow = await startStatus({
      serveMerged: (_request, response) => {
        release.push(() => response.end("merged 1\n"));
      },
    });
    const scrapes = Array.from({ length: 11 }, () => ask({ port: slow.port, path: "/stats/prometheus" }));
    const refused = await Promise.race(scrapes);
    expect(refused).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
    expect((await ask({ port: slow.port, path: "/healthz/ready" })).status).toBe(200);
    for (const one of release) one();
    const all = (await Promise.all(scrapes)).map((one) => one.status);
    expect(all.filter((one) => one === 200)).toHaveLength(10);
    await slow.server.close();
  });
});

describe("time, on a clock of the test's own", () => {
  test("a route that takes too long: 503 when nothing was sent, a cut connection when something was", async () => {
    const clock = new FakeClock();
    const slow = await startStatus({
      clock,
      serveMetrics: () => undefined,
      serveMerged: (_request, response) => {
        response.write("half");
      },
    });
    const answers = [
      ask({ port: slow.port, path: "/metrics" }),
      ask({ port: slow.port, path: "/stats/prometheus" }).catch((error: Error) => error),
    ] as const;
    await eventually("both are in work", () => clock.pending() === 2);
    clock.advance(120_000);
    expect(await answers[0]).toMatchObject({
      status: 503,
      body: "it took too long\n",
      headers: { connection: "close" },
    });
    expect(await answers[1]).toBeInstanceOf(Error);
    await slow.server.close();
    expect(clock.pending()).toBe(0);
  });

  test("a contributor that hangs is a 503 with that as the reason", async () => {
    const clock = new FakeClock();
    const hung = await startStatus({
      clock,
      contributors: [{ name: "admin", check: () => new Promise(() => undefined) }],
    });
    const answer = ask({ port: hung.port, path: "/healthz/ready" });
    await eventually("the judgement and the route have their timers", () => clock.pending() === 2);
    clock.advance(2_500);
    expect(await answer).toMatchObject({
      status: 503,
      body: "not ready: admin: cannot tell: no answer within 2500 ms\n",
    });
    await hung.server.close();
    expect(clock.pending()).toBe(0);
  });
});

describe("listening", () => {
  test("a port that is taken is named, with what to do; nothing is left", async () => {
    const second = startStatus({ config: statusConfig(status.port) });
    await expect(second).rejects.toThrow(Unavailable);
    await expect(second).rejects.toThrow(
      `cannot listen on port ${status.port}: address already in use (EADDRINUSE); stop the process that holds it, or choose another with --statusPort`,
    );
  });

  test("a port that is taken in one family only is taken, too", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => {
      other.listen({ host: "127.0.0.1", port: 0 }, resolve);
    });
    const { port } = other.address() as { port: number };
    await expect(startStatus({ config: statusConfig(port) })).rejects.toThrow(/address already in use/);
    await new Promise((resolve) => other.close(resolve));
  });

  test("where the first address can't be had, a second try on another one works", async () => {
    const front = new HttpFront({
      clock: realClock,
      log: noLog,
      onBug: (error) => status.bugs.push(error),
      callerOf: () => ({ peer: "network", near: false, from: "" }),
      serve: async (_request, response) => {
        response.end("ok");
      },
    });
    const [port = 0] = await freePorts(1);
    await expect(front.listen({ host: "192.0.2.254", port })).rejects.toThrow(/EADDRNOTAVAIL/);
    await front.listen({ host: "127.0.0.1", port });
    expect((await ask({ port, path: "/" })).body).toBe("ok");
    await front.close();
  });

  test("without a status port only the unix socket listens", async () => {
    const quiet = await startStatus({ config: statusConfig(undefined) }, join(folder.path, "q.sock"));
    await expect(ask({ port: quiet.port, path: "/healthz/ready" })).rejects.toThrow(/ECONNREFUSED/);
    expect((await ask({ socketPath: join(folder.path, "q.sock"), path: "/healthz/ready" })).status).toBe(200);
    await quiet.server.close();
  });

  test("the socket file is ours alone, a live one is refused, a stale one is replaced, none is left", async () => {
    expect(lstatSync(path).mode & 0o777).toBe(0o600);
    await expect(startStatus({}, path)).rejects.toThrow(/another process listens there/);
    expect((await ask({ socketPath: path, path: "/healthz/ready" })).status).toBe(200);
    writeFileSync(join(folder.path, "file"), "");
    await expect(startStatus({}, join(folder.path, "file"))).rejects.toThrow(/a file that is no socket lies there/);
    await expect(startStatus({}, join(folder.path, "no/such/folder"))).rejects.toThrow(Unavailable);
    await expect(startStatus({}, join(folder.path, "x".repeat(120)))).rejects.toThrow(/has 107 at most/);
    await status.server.close();
    expect(existsSync(path)).toBe(false);
  });
});

describe("close", () => {
  test("ends idle connections at once, what is in work within its time, and twice does no harm", async () => {
    const held = await startStatus({ serveMetrics: () => undefined });
    const idle = sendRaw({ port: held.port, host: "127.0.0.1" }, "");
    const kept = sendRaw({ port: held.port, host: "127.0.0.1" }, "GET /healthz/ready HTTP/1.1\r\nHost: x\r\n\r\n");
    const stuck = sendRaw({ port: held.port, host: "127.0.0.1" }, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    expect((await ask({ port: held.port, path: "/healthz/ready" })).status).toBe(200);
    await Promise.all([held.server.close(), held.server.close()]);
    expect(await idle).toBe("");
    expect(await kept).toMatch(/^HTTP\/1.1 200 /);
    expect(await stuck).toBe("");
    await expect(ask({ port: held.port, path: "/healthz/ready" })).rejects.toThrow(/ECONNREFUSED/);
    await held.server.close();
  });

  test("an answer that is on its way is finished, and says that the connection ends", async () => {
    let finish: (() => void) | undefined;
    const held = await startStatus({
      serveMetrics: (_request, response) => {
        finish = () => response.end("m 1\n");
      },
    });
    const answer = ask({ port: held.port, path: "/metrics" });
    expect((await ask({ port: held.port, path: "/healthz/ready" })).status).toBe(200);
    const closed = held.server.close();
    finish?.();
    expect(await answer).toMatchObject({ status: 200, body: "m 1\n" });
    await closed;
  });
});
