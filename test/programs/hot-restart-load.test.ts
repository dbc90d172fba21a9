import { writeFileSync } from "node:fs";
import { createServer, type Server as HttpServer } from "node:http";
import {
  createServer as createHttp2Server,
  createSecureServer,
  type Http2SecureServer,
  type Http2Server,
} from "node:http2";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { createServer as createTlsTcpServer } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { issuePair, makeAuthority } from "../../src/control-plane/certificate-authority.ts";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { Load, type LoadEntry, type LoadReport, preciseNow } from "../helpers/load/load.ts";
import { temporaryFolder } from "../helpers/paths.ts";

/** The load client is what the fault matrix believes: each kind of failure is made on purpose and must be seen. */
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function listen(server: Server | HttpServer | Http2Server | Http2SecureServer): Promise<number> {
  const open = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    open.add(socket);
    socket.on("error", () => undefined);
    socket.once("close", () => open.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
        for (const socket of open) socket.destroy();
      }),
  );
  return (server.address() as AddressInfo).port;
}

async function start(...entries: LoadEntry[]): Promise<Load> {
  const load = await Load.start(entries);
  closing.push(() => load.done());
  return load;
}

const after = (load: Load, what: string, fact: (report: LoadReport) => boolean): Promise<LoadReport> =>
  eventually(what, async () => {
    const report = await load.tally();
    return fact(report) && report;
  });

const echo = (): Server => createTcpServer((socket) => socket.pipe(socket));

test("a good server: every kind is counted as well, with live tallies", async () => {
  const http = await listen(createServer((_, response) => response.end("hello")));
  const h2 = await listen(createHttp2Server((_, response) => response.end("hello")));
  const load = await start(
    { kind: "keep-alive", port: http, clients: 2 },
    { kind: "new-connection", port: http, clients: 2 },
    { kind: "http2", port: h2, clients: 2 },
    { kind: "tcp", port: await listen(echo()), clients: 2 },
  );
  const kinds = ["keep-alive", "new-connection", "http2", "tcp"];
  await after(load, "50 of each", (report) => kinds.every((one) => report.entry(one).ok > 50));
  const report = await load.stop();
  expect([report.failed, report.failures()]).toEqual([0, []]);
  expect(report.ok).toBe(report.requests);
  for (const one of ["keep-alive", "http2", "tcp"]) expect(report.entry(one).connections).toBe(2);
  const fresh = report.entry("new-connection");
  expect(fresh.connections).toBe(fresh.requests);
});

describe("mTLS", () => {
  const now = new Date();
  const valid = { from: new Date(now.getTime() - 60_000), to: new Date(now.getTime() + 3_600_000) };

  test.each([true, false])("every kind, with a client certificate: %s", async (withCertificate) => {
    const folder = temporaryFolder("load-tls");
    closing.push(async () => folder.done());
    const authority = makeAuthority(now);
    const server = issuePair(authority, { dns: ["server.test"] }, valid);
    const client = issuePair(authority, { uris: ["spiffe://td/client"] }, valid);
    const files = { ca: authority.root.certificate, cert: client.certificate, key: client.key };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder.path, name), text);
    const material = { cert: server.certificate, key: server.key, ca: files.ca, requestCert: true };
    const tls = {
      ca: join(folder.path, "ca"),
      serverName: "server.test",
      ...(withCertificate ? { certificate: join(folder.path, "cert"), key: join(folder.path, "key") } : {}),
    };
    const http = await listen(createTlsServer(material, (_, response) => response.end("hello")));
    const h2 = await listen(createSecureServer(material, (_, response) => response.end("hello")));
    const tcp = await listen(
      createTlsTcpServer(material, (socket) => socket.on("error", () => undefined).pipe(socket)),
    );
    const load = await start(
      { kind: "keep-alive", port: http, clients: 1, tls },
      { kind: "new-connection", port: http, clients: 1, tls },
      { kind: "http2", port: h2, clients: 1, tls },
      { kind: "tcp", port: tcp, clients: 1, tls },
      { name: "wrong name", kind: "new-connection", port: http, clients: 1, tls: { ...tls, serverName: "other.test" } },
    );
    const all = ({ tally }: LoadReport): readonly { ok: number; requests: number }[] => Object.values(tally.entries);
    await after(load, "some of each", (report) => all(report).every(({ requests }) => requests > 10));
    const report = await load.stop();
    const counts = all(report).map(({ ok, requests }) => (ok === requests ? "good" : ok === 0 ? "bad" : "mixed"));
    const good = withCertificate ? "good" : "bad";
    expect(counts, report.toString()).toEqual([good, good, good, good, "bad"]);
  });
});

test("refused, wrong status and timed out, with the time", async () => {
  const [dead = 0] = await freePorts(1);
  const bad = await listen(
    createServer((_, response) => {
      response.statusCode = 503;
      response.end("no");
    }),
  );
  const silent = await listen(createServer(() => undefined));
  const began = preciseNow();
  const load = await start(
    { name: "refused", kind: "new-connection", port: dead, clients: 1 },
    { name: "refused2", kind: "http2", port: dead, clients: 1 },
    { name: "refused3", kind: "tcp", port: dead, clients: 1 },
    { name: "status", kind: "keep-alive", port: bad, clients: 1 },
    { name: "silent", kind: "keep-alive", port: silent, clients: 1, timeout: 50 },
  );
  await after(load, "some of each", ({ tally }) => Object.values(tally.entries).every(({ requests }) => requests > 3));
  const report = await load.stop();
  for (const name of ["refused", "refused2", "refused3"])
    expect(report.entry(name).refused, report.tally.failures.find(({ entry }) => entry === name)?.text).toBe(
      report.entry(name).requests,
    );
  expect(report.entry("status")["wrong-status"]).toBe(report.entry("status").requests);
  expect(report.entry("silent")["timed-out"]).toBe(report.entry("silent").requests);
  expect(report.failures(began, preciseNow())).toHaveLength(report.failed);
  for (const { began: from, failed } of report.failures()) expect(failed).toBeGreaterThanOrEqual(from);
});

test("a connection that ends before, within and after an answer", async () => {
  const before = await listen(createServer((request) => request.socket.resetAndDestroy()));
  const within = await listen(
    createServer((request, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("half");
      setImmediate(() => request.socket.destroy());
    }),
  );
  const after1 = await listen(
    createServer((_, response) => {
      response.end("hello");
      response.socket?.end();
    }),
  );
  const load = await start(
    { name: "before", kind: "new-connection", port: before, clients: 1 },
    { name: "within", kind: "keep-alive", port: within, clients: 1 },
    { name: "after", kind: "keep-alive", port: after1, clients: 1, pause: 20 },
  );
  await after(load, "some of each", ({ tally }) => Object.values(tally.entries).every(({ requests }) => requests > 5));
  const report = await load.stop();
  expect(report.entry("before").reset).toBe(report.entry("before").requests);
  expect(report.entry("within").truncated).toBe(report.entry("within").requests);
  // An idle connection that was closed is no failure: the next request opens another.
  expect(report.entry("after").ok).toBe(report.entry("after").requests);
});

test("HTTP/2: GOAWAY between requests is obeyed, a reset stream and a cut session are failures", async () => {
  const server = createHttp2Server();
  let count = 0;
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    stream.respond({ ":status": 200 });
    stream.end("hello");
    if (count++ % 5 === 4) stream.session?.close();
  });
  const refusing = createHttp2Server();
  refusing.on("stream", (stream) => {
    stream.on("error", () => undefined);
    stream.close(7);
  });
  const cutting = createHttp2Server();
  cutting.on("stream", (stream) => {
    stream.on("error", () => undefined);
    stream.respond({ ":status": 200 });
    stream.write("half");
    setImmediate(() => stream.session?.destroy());
  });
  const load = await start(
    { name: "goaway", kind: "http2", port: await listen(server), clients: 1 },
    { name: "refusing", kind: "http2", port: await listen(refusing), clients: 1 },
    { name: "cutting", kind: "http2", port: await listen(cutting), clients: 1 },
  );
  await after(load, "some of each", ({ tally }) => Object.values(tally.entries).every(({ requests }) => requests > 12));
  const report = await load.stop();
  expect(report.entry("goaway").ok, report.toString()).toBe(report.entry("goaway").requests);
  expect(report.entry("goaway").connections).toBeGreaterThan(2);
  expect(report.entry("refusing").reset, report.toString()).toBe(report.entry("refusing").requests);
  expect(report.entry("cutting").truncated, report.toString()).toBe(report.entry("cutting").requests);
});

test("TCP: a cut connection is one failure with its age, then a new one is opened", async () => {
  let open: Socket[] = [];
  const server = echo();
  server.on("connection", (socket: Socket) => open.push(socket));
  const load = await start({ kind: "tcp", port: await listen(server), clients: 3 });
  await after(load, "lines", (report) => report.ok > 30);
  for (const socket of open) socket.destroy();
  open = [];
  await after(load, "new connections", (report) => report.entry("tcp").connections >= 6);
  const report = await load.stop();
  expect(report.failed).toBe(3);
  expect(report.count("reset")).toBe(3);
  for (const failure of report.failures()) {
    expect(failure.connectionAge).toBeGreaterThan(0);
    expect(failure.requestsBefore).toBeGreaterThan(5);
  }
});

test("nothing is left of a load that is ended in the middle", async () => {
  const load = await start({ kind: "keep-alive", port: await listen(createServer()), clients: 3 });
  await load.done();
  await expect(load.tally()).rejects.toThrow();
});
