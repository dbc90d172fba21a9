import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { askHealth } from "../../src/status/application-health-ask.ts";
import type { HealthAction } from "../../src/status/application-health-settings.ts";
import { realClock } from "../../src/system/clock.ts";
import { alive } from "../helpers/alive.ts";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { temporaryFolder } from "../helpers/paths.ts";
import { startGrpc } from "../status/grpc-servers.ts";
import { ProbeServers, plain } from "../status/probe-servers.ts";

let folder: ReturnType<typeof temporaryFolder>;
let servers: ProbeServers;
beforeEach(() => {
  folder = temporaryFolder("health");
  servers = new ProbeServers(folder.path);
});
afterEach(() => {
  servers.done();
  folder.done();
});

const ask = (action: HealthAction, timeout = 10_000, stop = new AbortController().signal) =>
  askHealth(
    action,
    timeout,
    {
      clock: realClock,
      family: "v4",
      environment: new Map([
        ["MINE", "1"],
        ["PATH", process.env["PATH"] ?? ""],
      ]),
    },
    stop,
  );

const http = (port: number, path: string, more: object = {}): HealthAction => ({
  kind: "http",
  scheme: "http",
  host: "localhost",
  port,
  path,
  headers: [],
  ...more,
});

describe("http", () => {
  test.each([
    ["/200", undefined],
    ["/399", undefined],
    ["/400", "it answered 400"],
    ["/503", "it answered 503"],
    ["/moved", undefined],
    ["/bad-move", "it answered 503"],
    ["/away", undefined],
    ["/loop", "stopped after 10 redirects"],
  ])("%s: %s", async (path, expected) => {
    const port = await servers.raw({
      "/200": plain("200 OK"),
      "/399": plain("399 Odd"),
      "/400": plain("400 Bad Request"),
      "/503": plain("503 Service Unavailable"),
      "/moved": plain("302 Found", "", "Location: /200\r\n"),
      "/bad-move": plain("302 Found", "", "Location: /503\r\n"),
      "/away": plain("302 Found", "", "Location: http://elsewhere.example/\r\n"),
      "/loop": plain("302 Found", "", "Location: /loop\r\n"),
    });
    expect(await ask(http(port, path))).toBe(expected);
  });

  test("its headers, its Host, and who asks from where", async () => {
    const port = await servers.raw({ "/": plain("200 OK") });
    await ask(http(port, "/"));
    expect(servers.seen.get("/")?.request).toMatch(new RegExp(`^host: localhost:${port}\\r$`, "im"));
    expect(servers.seen.get("/")?.request).toMatch(/^user-agent: pilotfish-probe\/1\.0\r$/im);
    expect(servers.seen.get("/")?.from).toContain("127.0.0.6");
    const headers = [
      ["Host", "app.example"],
      ["User-Agent", "mine"],
    ];
    await ask(http(port, "/", { headers }));
    expect(servers.seen.get("/")?.request).toMatch(/^host: app\.example\r$/im);
    expect(servers.seen.get("/")?.request.match(/^user-agent: .*$/gim)).toEqual(["User-Agent: mine"]);
  });

  test("https without looking at the certificate, nobody there, no answer", async () => {
    const port = await servers.https(servers.certificate(2048));
    expect(await ask(http(port, "/", { scheme: "https" }))).toBeUndefined();
    const [nobody = 0] = await freePorts(1);
    expect(await ask(http(nobody, "/"))).toContain("ECONNREFUSED");
    const hangs = await servers.raw({ "/": () => undefined });
    expect(await ask(http(hangs, "/"), 50)).toBe("no answer within 50 ms");
  });

  test("it is over as soon as the check is stopped", async () => {
    const port = await servers.raw({ "/": () => undefined });
    const stop = new AbortController();
    const asked = ask(http(port, "/"), 60_000, stop.signal);
    await eventually("it asks", () => servers.seen.has("/"));
    stop.abort(new Error("stopped"));
    expect(await asked).toBeDefined();
  });
});

test("tcp", async () => {
  expect(await ask({ kind: "tcp", host: "localhost", port: await servers.raw({}) })).toBeUndefined();
  const [nobody = 0] = await freePorts(1);
  expect(await ask({ kind: "tcp", host: "127.0.0.1", port: nobody })).toContain("ECONNREFUSED");
});

test("grpc: a service that does not serve is a reason, not a crash", async () => {
  const server = await startGrpc();
  const grpc = (service: string): HealthAction => ({ kind: "grpc", host: "localhost", port: server.port, service });
  expect(await ask(grpc(""))).toBeUndefined();
  expect(await ask(grpc("down"))).toBe("it says NOT_SERVING");
  expect(await ask(grpc("other"))).toBe("gRPC status 5: no such service");
  expect(await ask(grpc("slow"), 50)).toBe("no answer within 50 ms");
  server.done();
});

describe("exec", () => {
  const exec = (script: string): HealthAction => ({ kind: "exec", command: ["sh", "-c", script] });

  test.each([
    ["exit 0", undefined],
    ['[ "$MINE" = 1 ]', undefined],
    ["exit 3", "the command ended with 3"],
    ["echo broken >&2; echo more >&2; exit 1", "the command ended with 1: broken"],
    ["echo on output; exit 1", "the command ended with 1: on output"],
    ["kill -KILL $$", "the command was ended by SIGKILL"],
  ])("%s: %s", async (script, expected) => {
    expect(await ask(exec(script))).toBe(expected);
  });

  test("a program that is not there", async () => {
    const action: HealthAction = { kind: "exec", command: ["/nobody/has/this"] };
    expect(await ask(action)).toBe("cannot start /nobody/has/this: no such file or directory (ENOENT)");
  });

  test("a command that hangs is ended with everything below it", async () => {
    const file = join(folder.path, "pid");
    writeFileSync(file, "");
    const said = await ask(exec(`sleep 600 & echo $! > ${file}; wait`), 400);
    expect(said).toMatch(/no answer within 400 ms|took longer than 400 ms/);
    const pid = Number(readFileSync(file, "utf8"));
    expect(pid).toBeGreaterThan(1);
    await eventually("the grandchild is gone", () => !alive(pid));
  });
});
