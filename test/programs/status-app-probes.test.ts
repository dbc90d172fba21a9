import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { temporaryFolder } from "../helpers/paths.ts";
import { type GrpcServer, startGrpc } from "../status/grpc-servers.ts";
import { bytes, ProbeServers, plain, type Script } from "../status/probe-servers.ts";
import { type Answered, ask, type Fixture, startStatus } from "../status/status-fixture.ts";

/** What one probe must give: the status and the body that we answer. */
interface Case {
  readonly title: string;
  /** httpGet, tcpSocket or grpc, with the names of ports instead of numbers. */
  readonly probe: Readonly<Record<string, unknown>>;
  readonly script?: Script;
  readonly status: number;
  readonly body?: string | RegExp;
}

const redirect = (location: string, code = 302): Script => plain(`${code} Moved`, "moved", `Location: ${location}\r\n`);
const http = (title: string, script: Script, status: number, body?: string | RegExp): Case => ({
  title,
  probe: { httpGet: { port: "raw" } },
  script,
  status,
  ...(body === undefined ? {} : { body }),
});
const chain = (hops: number): Readonly<Record<string, Script>> =>
  Object.fromEntries(
    Array.from({ length: hops }, (_, hop) => [`/chain-${hops}-${hop}`, redirect(`/chain-${hops}-${hop + 1}`)]),
  );
const big = (size: number) => "b".repeat(size);

/** A kubelet calls 200 to 399 a success; what it would see without us is in the titles where it is not plain. */
const cases: readonly Case[] = [
  http("200 with a body", plain("200 OK", "fine"), 200, "fine"),
  http("201", plain("201 Created", "made"), 201, "made"),
  http("204", bytes("HTTP/1.1 204 No Content\r\n\r\n"), 204, ""),
  http("206", plain("206 Partial", "part"), 206, "part"),
  http("299", plain("299 Strange", "x"), 299, "x"),
  http("no reason phrase", bytes("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"), 200, "ok"),
  http("301 without a place to go", plain("301 Moved", "gone"), 200, ""),
  http("302 to a path is followed", redirect("/target"), 200, "target"),
  http("302 to a relative path with a query", redirect("target?x=1"), 200, "target"),
  http("307 to the same host", redirect("/target", 307), 200, "target"),
  http(
    "302 to another port of the same host",
    (socket) => redirect(`http://127.0.0.1:${ports["other"]}/x`)(socket, "", 0),
    200,
    "other",
  ),
  http(
    "302 to https on the same host",
    (socket) => redirect(`https://127.0.0.1:${ports["https"]}/`)(socket, "", 0),
    200,
    /^https 1\.1 /,
  ),
  http("302 to another host is a success", redirect("http://elsewhere.example/"), 200, ""),
  http("302 to a 500", redirect("/broken"), 500, "broken"),
  http("302 to something that is no address", redirect("http://[/"), 500),
  http("9 redirects", redirect("/chain-8-0"), 200, "end of 8"),
  http("10 redirects", redirect("/chain-9-0"), 500),
  http("304", bytes("HTTP/1.1 304 Not Modified\r\n\r\n"), 200, ""),
  http("300", plain("300 Choices", "x"), 200, ""),
  http("399", plain("399 X", "x"), 200, ""),
  ...[400, 401, 404, 418, 429, 500, 503, 599, 600, 999].map((code) =>
    http(`${code}`, plain(`${code} X`, `body of ${code}`), code, `body of ${code}`),
  ),
  http("a code below 100", plain("099 X", "x"), 500),
  http("101", bytes("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", false), 500),
  http(
    "100 and 103 come before the answer",
    bytes(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ),
    200,
    "ok",
  ),
  http("HTTP/1.0 until the end of the connection", bytes("HTTP/1.0 200 OK\r\n\r\nold"), 200, "old"),
  http("line feeds alone", bytes("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), 200, "ok"),
  http(
    "chunks and a trailer",
    bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n"),
    200,
    "abcde",
  ),
  http(
    "length and chunks at once",
    bytes("HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    200,
    "ok",
  ),
  http("a head of 100 kB", plain("200 OK", "ok", `X-Big: ${big(100_000)}\r\n`), 200, "ok"),
  http("exactly 10 KiB", plain("200 OK", big(10_240)), 200, big(10_240)),
  http("one byte more is cut", plain("200 OK", big(10_241)), 200, big(10_240)),
  http("5 MB are cut", plain("200 OK", big(5_000_000)), 200, big(10_240)),
  http(
    "a body without an end is cut",
    (socket) => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      const more = () => {
        while (!socket.destroyed && socket.write(big(65_536)));
        if (!socket.destroyed) socket.once("drain", more);
      };
      more();
    },
    200,
    big(10_240),
  ),
  http("a body that stops in the middle", bytes("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", false), 500),
  http("a body that is cut off", bytes("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), 500),
  http("no answer", () => undefined, 500),
  http("an answer that comes drop by drop and too late", bytes("HTTP/1.1 200 OK\r\n", false), 500),
  http("nonsense", bytes("220 mail.example ESMTP\r\n"), 500),
  http("closed without a word", (socket) => socket.end(), 500),
  http("reset", (socket) => socket.resetAndDestroy(), 500),
  {
    title: "a compressed body goes on as it is",
    probe: { httpGet: { port: "raw" } },
    script: (socket) => {
      const packed = gzipSync("x");
      socket.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${packed.length}\r\n\r\n`);
      socket.end(packed);
    },
    status: 200,
    body: gzipSync("x").toString(),
  },
  { title: "nobody listens", probe: { httpGet: { port: "dead" } }, status: 500 },
  {
    title: "HTTPS, unknown signer, another name",
    probe: { httpGet: { port: "https", scheme: "HTTPS" } },
    status: 200,
    body: /^https 1\.1 127\.0\.0\.1:/,
  },
  {
    title: "HTTPS with a key of 1,024 bits",
    probe: { httpGet: { port: "weak", scheme: "HTTPS" } },
    status: 200,
    body: /^https/,
  },
  {
    title: "HTTPS with TLS 1.2 at most",
    probe: { httpGet: { port: "tls12", scheme: "HTTPS" } },
    status: 200,
    body: /^https/,
  },
  { title: "HTTPS with TLS 1.1 at most", probe: { httpGet: { port: "tls11", scheme: "HTTPS" } }, status: 500 },
  {
    title: "HTTPS that wants a client's certificate",
    probe: { httpGet: { port: "mtls", scheme: "HTTPS" } },
    status: 500,
  },
  { title: "HTTPS to a plain port", probe: { httpGet: { port: "other", scheme: "HTTPS" } }, status: 500 },
  { title: "HTTP to a TLS port", probe: { httpGet: { port: "https" } }, status: 500 },
  {
    title: "HTTP/2",
    probe: { httpGet: { port: "h2", scheme: "HTTPS", path: "/h2", httpHeaders: [{ name: "X-Probe", value: "a" }] } },
    status: 200,
    body: /^2\.0 127\.0\.0\.1:\d+ a$/,
  },
  {
    title: "HTTP/2, a redirect",
    probe: { httpGet: { port: "h2", scheme: "HTTPS", path: "/moved" } },
    status: 200,
    body: /^2\.0/,
  },
  {
    title: "HTTP/2, 503",
    probe: { httpGet: { port: "h2", scheme: "HTTPS", path: "/503" } },
    status: 503,
    body: "busy",
  },
  {
    title: "HTTP/2, a large body is cut",
    probe: { httpGet: { port: "h2", scheme: "HTTPS", path: "/big" } },
    status: 200,
    body: big(10_240),
  },
  { title: "HTTP/2, no answer", probe: { httpGet: { port: "h2", scheme: "HTTPS", path: "/hang" } }, status: 500 },
  { title: "TCP, somebody listens", probe: { tcpSocket: { port: "raw" } }, status: 200, body: "" },
  { title: "TCP, nobody listens", probe: { tcpSocket: { port: "dead" } }, status: 500 },
  { title: "gRPC serves", probe: { grpc: { port: "grpc" } }, status: 200, body: "" },
  { title: "gRPC, a service that serves", probe: { grpc: { port: "grpc", service: "a.B" } }, status: 200, body: "" },
  { title: "gRPC, a service that does not", probe: { grpc: { port: "grpc", service: "down" } }, status: 500 },
  { title: "gRPC says unknown", probe: { grpc: { port: "grpc", service: "unknown" } }, status: 500 },
  { title: "gRPC, a service that is not there", probe: { grpc: { port: "grpc", service: "other" } }, status: 500 },
  { title: "gRPC, no answer", probe: { grpc: { port: "grpc", service: "slow" } }, status: 500 },
  { title: "gRPC without health service", probe: { grpc: { port: "bare" } }, status: 500 },
  { title: "gRPC to a plain HTTP port", probe: { grpc: { port: "other" } }, status: 500 },
  { title: "gRPC to a TLS port", probe: { grpc: { port: "h2" } }, status: 500 },
  { title: "gRPC, nobody listens", probe: { grpc: { port: "dead" } }, status: 500 },
];

const ports: Record<string, number> = {};
const scripts: Record<string, Script> = {
  "/target": plain("200 OK", "target"),
  "/broken": plain("500 Broken", "broken"),
  ...chain(8),
  ...chain(9),
  "/chain-8-8": plain("200 OK", "end of 8"),
  "/chain-9-9": plain("200 OK", "end of 9"),
};
const folder = temporaryFolder("probes");
const servers = new ProbeServers(folder.path);
let grpc: GrpcServer;
let bare: GrpcServer;
let status: Fixture;

beforeAll(async () => {
  for (const [index, { script }] of cases.entries()) if (script !== undefined) scripts[`/case-${index}`] = script;
  const pair = servers.certificate(2_048);
  [grpc, bare] = await Promise.all([startGrpc(), startGrpc(false)]);
  Object.assign(ports, {
    raw: await servers.raw(scripts),
    other: await servers.raw({ "/x": plain("200 OK", "other") }),
    dead: (await freePorts(1))[0],
    https: await servers.https(pair),
    weak: await servers.https(servers.certificate(1_024)),
    tls12: await servers.https(pair, { maxVersion: "TLSv1.2" }),
    tls11: await servers.https(pair, { minVersion: "TLSv1", maxVersion: "TLSv1.1" }),
    mtls: await servers.https(pair, { requestCert: true }),
    h2: await servers.http2(pair),
    grpc: grpc.port,
    bare: bare.port,
  });
  const table = cases.map(({ probe }, index) => [`/app-health/c${index}/livez`, withPorts(probe, index)] as const);
  status = await startStatus({ configured: { appProbers: JSON.stringify(Object.fromEntries(table)) } });
});

afterAll(async () => {
  await status.server.close();
  expect(status.bugs).toEqual([]);
  servers.done();
  grpc.done();
  bare.done();
  folder.done();
});

function withPorts(probe: Case["probe"], index: number): Readonly<Record<string, unknown>> {
  const entries = Object.entries(probe).map(([kind, action]) => {
    const fields = action as Readonly<Record<string, unknown>>;
    const path = kind === "httpGet" ? { path: `/case-${index}` } : {};
    return [kind, { ...path, ...fields, port: ports[String(fields["port"])] }] as const;
  });
  return { ...Object.fromEntries(entries), timeoutSeconds: 1 };
}

const probe = (path: string, more: object = {}): Promise<Answered> =>
  // From where the kubelet comes: no loopback, so that we answer no more than we must.
  ask({ port: status.port, path, localAddress: "127.0.0.6", headers: { "user-agent": "kube-probe/1.33" }, ...more });

describe("what the kubelet sees", () => {
  test.each(cases.map((one, index) => ({ ...one, index })))("$title", async ({ index, status: code, body }) => {
    const answer = await probe(`/app-health/c${index}/livez`);
    expect(answer.status).toBe(code);
    if (body instanceof RegExp) expect(answer.body).toMatch(body);
    else expect(answer.body).toBe(body ?? "");
  });

  test("there are enough of them", () => {
    expect(cases.length).toBeGreaterThanOrEqual(60);
  });
});

describe("what the application sees", () => {
  test("source, path, the caller's headers, a Host that names its own port", async () => {
    const path = `/app-health/c${cases.findIndex((one) => one.title === "200 with a body")}/livez`;
    await probe(path, {
      headers: { "user-agent": "kube-probe/1.33", host: `10.1.2.3:${status.port}`, "x-own": "1", accept: "*/*" },
    });
    const seen = servers.seen.get("/case-0");
    expect(seen?.from).toBe("127.0.0.6");
    expect(
      seen?.request
        .split("\r\n")
        .filter((line) => line !== "")
        .sort(),
    ).toEqual(
      [
        "GET /case-0 HTTP/1.1",
        `Host: 10.1.2.3:${ports["raw"]}`,
        "user-agent: kube-probe/1.33",
        "x-own: 1",
        "accept: */*",
        "Connection: close",
      ].sort(),
    );
  });

  test("a gRPC server sees the kubelet's name", async () => {
    await probe(`/app-health/c${cases.findIndex((one) => one.title === "gRPC serves")}/livez`);
    expect(grpc.agents.at(-1)).toBe("kube-probe/1.33");
  });
});

describe("the rest of the route", () => {
  test("an unknown path is a 400, with the peer's words", async () => {
    for (const path of [
      "/app-health/nobody/livez",
      "/app-health/c0/readyz",
      "/app-health/",
      "/app-lifecycle/c0/prestopz",
    ]) {
      expect(await probe(path)).toMatchObject({ status: 400, body: `app prober config does not exists for ${path}` });
    }
  });

  test("HEAD has no body, other methods are refused, a caller in the pod learns why", async () => {
    expect(await probe("/app-health/c0/livez", { method: "HEAD" })).toMatchObject({ status: 200, body: "" });
    expect((await probe("/app-health/c0/livez", { method: "POST" })).status).toBe(405);
    const dead = `/app-health/c${cases.findIndex((one) => one.title === "nobody listens")}/livez`;
    const inside = await ask({ port: status.port, path: dead });
    expect(inside).toMatchObject({ status: 500, body: expect.stringMatching(/^the probe failed: connection refused/) });
  });

  test("a caller that goes takes its request to the application along", async () => {
    let ended = false;
    scripts[`/case-${cases.length}`] = (socket) => {
      socket.once("close", () => {
        ended = true;
      });
    };
    const table = JSON.stringify({
      "/app-lifecycle/a/prestopz": { httpGet: { path: `/case-${cases.length}`, port: ports["raw"] } },
    });
    const hook = await startStatus({ configured: { appProbers: table } });
    const gone = ask({ port: hook.port, path: "/app-lifecycle/a/prestopz", timeout: 1_200 });
    await expect(gone).rejects.toThrow(/no answer/);
    await eventually("the application's connection has ended", () => ended);
    await hook.server.close();
  });
});
