import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { noLog } from "../../../src/foundation/log.ts";
import { createAgentMetrics } from "../../../src/metrics/agent-metrics.ts";
import { serveMergedMetrics } from "../../../src/metrics/serve-metrics.ts";
import { realClock } from "../../../src/system/clock.ts";
import { ownUsage } from "../../../src/system/own-usage.ts";
import { eventually } from "../../helpers/eventually.ts";
import { strictPage } from "../../metrics/strict-page.ts";
import { type Fixture, startStatus } from "../../status/status-fixture.ts";
import { configWith } from "./scrape-rig.ts";

/* The merged page behind the real status port: what becomes of requests that are not a plain GET of HTTP/1.1. */

let status: Fixture;
let source: Server;
/** Requests that the source saw. */
let seen: IncomingMessage[];
let answer: RequestListener;
let scraper: Socket | undefined;

beforeEach(async () => {
  seen = [];
  answer = (_request, response) => void response.end("app 1\n");
  source = createServer((incoming, outgoing) => {
    seen.push(incoming);
    answer(incoming, outgoing);
  });
  await new Promise<void>((resolve) => source.listen(0, "127.0.0.1", resolve));
  const { port } = source.address() as AddressInfo;
  status = await startStatus({
    serveMerged: serveMergedMetrics({
      config: configWith([{ port, path: "/metrics" }]),
      metrics: createAgentMetrics({ usage: ownUsage, build: { version: "", commit: "", node: "" } }),
      clock: realClock,
      log: noLog,
      envoy: () => undefined,
    }),
  });
});
afterEach(async () => {
  scraper?.destroy();
  scraper = undefined;
  await status.server.close();
  source.closeAllConnections();
  await new Promise((resolve) => source.close(resolve));
  expect(status.bugs).toEqual([]);
});

/** Sends these bytes; what came so far, and whether the other side has closed. */
function send(text: string): { readonly seen: () => Buffer; readonly closed: () => boolean } {
  const parts: Buffer[] = [];
  let closed = false;
  scraper = connect(status.port, "127.0.0.1");
  scraper.on("data", (part: Buffer) => parts.push(part));
  scraper.on("error", () => undefined);
  scraper.once("close", () => {
    closed = true;
  });
  scraper.write(text);
  return { seen: () => Buffer.concat(parts), closed: () => closed };
}

const asking = (method: string, version = "1.1", headers: Readonly<Record<string, string>> = {}): string =>
  `${method} /stats/prometheus HTTP/${version}\r\n${Object.entries({ Host: "x", ...headers })
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("")}\r\n`;

interface Answer {
  readonly status: string;
  readonly head: string;
  readonly body: Buffer;
}

/** The answers to these methods, in order, as far as they are whole; nothing but them. Undefined while one is not. */
function answersIn(bytes: Buffer, ...methods: readonly string[]): readonly Answer[] | undefined {
  const answers: Answer[] = [];
  let at = 0;
  for (const method of methods) {
    const end = bytes.indexOf("\r\n\r\n", at);
    if (end < 0) return undefined;
    const head = bytes.toString("latin1", at, end);
    at = end + 4;
    const parts: Buffer[] = [];
    const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
    if (method !== "HEAD" && /^transfer-encoding: chunked$/im.test(head)) {
      for (let size = -1; size !== 0; ) {
        const line = bytes.indexOf("\r\n", at);
        if (line < 0) return undefined;
        size = Number.parseInt(bytes.toString("latin1", at, line), 16);
        if (line + 4 + size > bytes.length) return undefined;
        parts.push(bytes.subarray(line + 2, line + 2 + size));
        expect(bytes.toString("latin1", line + 2 + size, line + 4 + size)).toBe("\r\n");
        at = line + 4 + size;
      }
    } else if (method !== "HEAD") {
      if (at + length > bytes.length) return undefined;
      parts.push(bytes.subarray(at, at + length));
      at += length;
    }
    answers.push({ status: head.split(" ")[1] ?? "", head, body: Buffer.concat(parts) });
  }
  expect(bytes.length).toBe(at);
  return answers;
}

const scrapesOn = ({ body }: Answer): number =>
  Number(/^istio_agent_scrapes_total (\d+)$/m.exec(body.toString())?.[1] ?? Number.NaN);
const header = ({ head }: Answer, name: string): string | undefined =>
  new RegExp(`^${name}: (.*)$`, "im").exec(head)?.[1];

const unpacked = (body: Buffer, coding: string | undefined): string =>
  (coding === "gzip" ? gunzipSync(body) : coding === "zstd" ? zstdDecompressSync(body) : body).toString();

describe("HEAD", () => {
  test.each([{}, { "Accept-Encoding": "gzip" }, { Accept: "application/openmetrics-text" }])(
    "has the head of a GET and no body, and the connection goes on: %o",
    async (headers) => {
      const { seen: bytes } = send(asking("HEAD", "1.1", headers) + asking("GET", "1.1", headers));
      const [head, get] = await eventually("both are answered", () => answersIn(bytes(), "HEAD", "GET"));
      expect([head?.status, get?.status]).toEqual(["200", "200"]);
      for (const name of ["content-type", "content-encoding", "vary"])
        expect([name, head && header(head, name)]).toEqual([name, get && header(get, name)]);
      expect(get && header(get, "vary")).toBe("accept, accept-encoding");
      expect(get?.body.length).toBeGreaterThan(100);
    },
  );
});

describe("other methods", () => {
  test.each(["POST", "PUT", "DELETE", "OPTIONS"])("%s is refused, and no source is asked", async (method) => {
    const { seen: bytes } = send(asking(method) + asking("GET"));
    const [refused, get] = await eventually("both are answered", () => answersIn(bytes(), method, "GET"));
    expect([refused?.status, refused && header(refused, "allow")]).toEqual(["405", "GET, HEAD"]);
    expect(get?.status).toBe("200");
    // The only one was the GET's.
    expect([seen.length, get && scrapesOn(get)]).toEqual([1, 1]);
  });

  test("a body is read over, and the next scrape is not taken for a part of it", async () => {
    const bodies = [
      [asking("POST", "1.1", { "Content-Length": "5" }), "hello"],
      [asking("GET", "1.1", { "Content-Length": "3" }), "abc"],
      [asking("GET"), ""],
    ];
    const { seen: bytes } = send(bodies.flat().join(""));
    const answers = await eventually("all are answered", () => answersIn(bytes(), "POST", "GET", "GET"));
    expect(answers.map((one) => one.status)).toEqual(["405", "200", "200"]);
  });
});

describe("HTTP/1.0", () => {
  test.each([undefined, "gzip"])("gets the page without chunks, to the end of the connection; %s", async (coding) => {
    const large = `# TYPE large gauge\n${'large{a="b"} 1\n'.repeat(20_000)}`;
    answer = (_request, response) => void response.end(large);
    const headers: Record<string, string> = coding === undefined ? {} : { "Accept-Encoding": coding };
    const { seen: bytes, closed } = send(asking("GET", "1.0", headers));
    await eventually("the connection is closed", closed);
    const end = bytes().indexOf("\r\n\r\n");
    const head = bytes().toString("latin1", 0, end);
    expect(head).toMatch(/^HTTP\/1\.1 200 /);
    expect(head).not.toMatch(/transfer-encoding/i);
    expect(head).toMatch(/^connection: close$/im);
    const body = bytes().subarray(end + 4);
    const page = unpacked(body, coding);
    expect(strictPage(page, "text")).toEqual([]);
    expect(page.includes(large)).toBe(true);
    expect(page).toMatch(/^pilotfish_scrape_source_up\{source="application:.*"\} 1$/m);
  });
});

describe("two scrapes in one go on one connection", () => {
  test("are answered in order, each with a page of its own", async () => {
    const open = { Accept: "application/openmetrics-text" };
    const { seen: bytes } = send(asking("GET", "1.1", open) + asking("GET"));
    const [first, second] = await eventually("both are answered", () => answersIn(bytes(), "GET", "GET"));
    if (first === undefined || second === undefined) throw new Error("there are not two");
    expect([scrapesOn(first), scrapesOn(second)]).toEqual([1, 2]);
    expect(strictPage(first.body.toString(), "openmetrics")).toEqual([]);
    expect(strictPage(second.body.toString(), "text")).toEqual([]);
    for (const { body } of [first, second]) expect(body.toString()).toContain("\napp 1\n");
    expect(seen).toHaveLength(2);
  });

  test("are asked for one after the other: of the second nobody hears before the first is whole", async () => {
    const waiting: ServerResponse[] = [];
    answer = (_request, response) => void waiting.push(response);
    const { seen: bytes } = send(asking("GET") + asking("GET"));
    await eventually("the first one is asked for", () => waiting.length === 1);
    await eventually("its first part is there", () => bytes().includes("istio_agent_"));
    expect(waiting).toHaveLength(1);
    waiting[0]?.end("app 1\n");
    await eventually("the second one is asked for", () => waiting.length === 2);
    expect(bytes().includes("\napp 1\n")).toBe(true);
    waiting[1]?.end("app 2\n");
    const answers = await eventually("both are answered", () => answersIn(bytes(), "GET", "GET"));
    expect(answers.map(({ body }) => /^app (\d)$/m.exec(body.toString())?.[1])).toEqual(["1", "2"]);
  });

  test.each([undefined, "gzip", "zstd"])("of a large page, both whole; %s", async (coding) => {
    let asked = 0;
    const large = (n: number): string =>
      `# TYPE large gauge\n${Array.from({ length: 60_000 }, (_, i) => `large{of="${n}",n="${i}"} ${i}\n`).join("")}`;
    answer = (_request, response) => void response.end(large(asked++));
    const headers: Record<string, string> = coding === undefined ? {} : { "Accept-Encoding": coding };
    const { seen: bytes } = send(asking("GET", "1.1", headers) + asking("GET", "1.1", headers));
    const answers = await eventually("both are answered", () => answersIn(bytes(), "GET", "GET"));
    expect(answers.map(({ body }, n) => unpacked(body, coding).includes(large(n)))).toEqual([true, true]);
    expect(answers.map((one) => header(one, "content-encoding"))).toEqual([coding, coding]);
  });

  test("of a scraper that goes away: the source of the first is let go, and of the second nobody hears", async () => {
    answer = () => undefined;
    const { seen: bytes } = send(asking("GET") + asking("GET"));
    await eventually("its first part is there", () => seen.length === 1 && bytes().includes("istio_agent_"));
    scraper?.destroy();
    await eventually("the source's connection is closed", () => seen[0]?.socket.destroyed);
    expect(seen).toHaveLength(1);
  });
});
