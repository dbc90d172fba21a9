import type { RequestListener } from "node:http";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { eventually } from "../../helpers/eventually.ts";
import { sampleCount, strictPage } from "../../metrics/strict-page.ts";
import { type Answer, type Rig, type Scraped, startRig } from "./scrape-rig.ts";

let rig: Rig | undefined;
afterEach(async () => {
  await rig?.done();
  rig = undefined;
});
async function start(parts: { envoy?: Answer; applications?: readonly Answer[] }): Promise<Rig> {
  rig = await startRig(parts);
  return rig;
}

const good = "# TYPE after gauge\nafter 1\n";
const openMetrics = { accept: "application/openmetrics-text;version=1.0.0" };
const ok =
  (type: string, write: (response: Parameters<RequestListener>[1]) => void): RequestListener =>
  (_request, response) => {
    response.writeHead(200, { "content-type": type });
    write(response);
  };

/** The report of this very page: `name{labels} value` with these labels. */
const told = ({ body }: Scraped, name: string, labels: string): number | undefined => {
  const line = body
    .toString()
    .split("\n")
    .find((one) => one.startsWith(`pilotfish_scrape_${name}{source="application:`) && one.includes(labels));
  return line === undefined ? undefined : Number(line.split(" ").at(-1));
};

const endless = (text: string): RequestListener =>
  ok("text/plain", (response) => {
    const more = (): void => {
      while (!response.destroyed && response.write(text));
      if (!response.destroyed) response.once("drain", more);
    };
    more();
  });

const badSources: readonly { what: string; answer: Answer; cause: string; kept?: string }[] = [
  { what: "says 500", answer: (_q, r) => void r.writeHead(500).end("x 1\n"), cause: "status" },
  { what: "hangs up", answer: (_q, r) => void r.destroy(), cause: "truncated" },
  { what: "speaks JSON", answer: ok("application/json", (r) => r.end('{"a": 1}')), cause: "content_type" },
  {
    what: "speaks protobuf",
    answer: ok("application/vnd.google.protobuf", (r) => r.end("\x0a\x03")),
    cause: "content_type",
  },
  {
    what: "is cut off in a line",
    answer: (_q, r) => {
      r.writeHead(200, { "content-type": "text/plain", "content-length": "1000" });
      r.write("kept 1\nlost{a=", () => r.destroy());
    },
    cause: "truncated",
    kept: "kept 1",
  },
  {
    what: "forgets # EOF",
    answer: ok("application/openmetrics-text", (r) => r.end("kept 1\n")),
    cause: "truncated",
    kept: "kept 1",
  },
  { what: "sends HTML as text", answer: ok("text/html", (r) => r.end("<p>no</p>\n".repeat(500))), cause: "garbage" },
  {
    what: "sends binary",
    answer: ok("text/plain", (r) => r.end(Buffer.alloc(5_000, "\0\xff\x01\n", "latin1"))),
    cause: "encoding",
  },
  {
    what: "sends a line of 1 MB",
    answer: ok("text/plain", (r) => r.end(`kept 1\na{b="${"x".repeat(1e6)}"} 1\n`)),
    cause: "long_line",
    kept: "kept 1",
  },
  { what: "never ends a line", answer: endless("x".repeat(10_000)), cause: "long_line" },
  { what: "never ends its names", answer: endlessNames(), cause: "too_many_families" },
  { what: "sends gzip that is none", answer: encoded("gzip", Buffer.from("a 1\n")), cause: "truncated" },
  {
    what: "sends half a gzip",
    answer: encoded("gzip", gzipSync("kept 1\n".repeat(9_999)).subarray(0, 40)),
    cause: "truncated",
  },
  { what: "sends an unknown encoding", answer: encoded("lzw", Buffer.from("x")), cause: "content_type" },
  {
    what: "is no HTTP server",
    answer: (q, r) => {
      q.socket.end("SSH-2.0-OpenSSH_9.2\r\n\r\n");
      r.destroy();
    },
    cause: "error",
  },
];

function encoded(coding: string, body: Buffer): RequestListener {
  return (_q, r) => void r.writeHead(200, { "content-type": "text/plain", "content-encoding": coding }).end(body);
}

function endlessNames(): RequestListener {
  let next = 0;
  return ok("text/plain", (response) => {
    const more = (): void => {
      let room = true;
      while (room && !response.destroyed)
        room = response.write(Array.from({ length: 500 }, () => `n${next++} 1\n`).join(""));
      if (!response.destroyed) response.once("drain", more);
    };
    more();
  });
}

describe.each(badSources)("a source that $what", ({ answer, cause, kept }) => {
  test.each([{}, openMetrics])("costs nobody else: %o", async (accept) => {
    const { scrape } = await start({ envoy: "# TYPE before counter\nbefore 1\n", applications: [answer, good] });
    const scraped = await scrape(accept);
    const page = scraped.body.toString();
    expect([scraped.status, scraped.complete]).toEqual([200, true]);
    expect(strictPage(page, "accept" in accept ? "openmetrics" : "text")).toEqual([]);
    expect(page).toContain("\nbefore 1\n");
    expect(page).toContain("\nafter 1\n");
    if (kept !== undefined) expect(page).toContain(`\n${kept}\n`);
    expect(told(scraped, "source_failure", `cause="${cause}"`)).toBe(1);
    expect(told(scraped, "source_up", "")).toBe(0);
  });
});

test("a source that never answers costs its own time only, and those behind it keep theirs", async () => {
  const silent: RequestListener = () => undefined;
  const { scrape } = await start({ envoy: silent, applications: [silent, good] });
  const began = performance.now();
  const scraped = await scrape({ "x-prometheus-scrape-timeout-seconds": "3" });
  // The one fact about time here: the page is there before the scraper would give up.
  expect(performance.now() - began).toBeLessThan(3_000);
  expect(scraped.complete).toBe(true);
  expect(scraped.body.toString()).toContain("\nafter 1\n");
  expect(told(scraped, "source_failure", 'cause="deadline"')).toBe(1);
});

test("a source that trickles is cut off at its deadline; its whole lines stay", async () => {
  const { scrape } = await start({
    envoy: ok("text/plain", (r) => r.write("slow 1\nslow_half")),
    applications: [good],
  });
  const scraped = await scrape({ "x-prometheus-scrape-timeout-seconds": "0.6" });
  expect(scraped.complete).toBe(true);
  expect(strictPage(scraped.body.toString(), "text")).toEqual([]);
  expect(scraped.body.toString()).toContain("\nslow 1\n");
  expect(scraped.body.toString()).toContain('pilotfish_scrape_source_failure{source="envoy",cause="deadline"} 1');
});

test("an endless page of one family is cut off at the deadline and was never in memory", async () => {
  const { scrape } = await start({
    envoy: endless(`# TYPE e gauge\n${'e{a="b"} 1\n'.repeat(500)}`),
    applications: [good],
  });
  const before = process.memoryUsage().external;
  const scraped = await scrape({ "x-prometheus-scrape-timeout-seconds": "1", "accept-encoding": "gzip" });
  expect(scraped.complete).toBe(true);
  expect(process.memoryUsage().external - before).toBeLessThan(60e6);
});

test("a compressed page is read, whatever was asked for", async () => {
  const page = Buffer.from(good.repeat(1));
  for (const [coding, body] of [
    ["gzip", gzipSync(page)],
    ["zstd", zstdCompressSync(page)],
  ] as const) {
    const { scrape } = await start({ applications: [encoded(coding, body)] });
    const scraped = await scrape();
    expect(scraped.body.toString()).toContain("\nafter 1\n");
    expect(told(scraped, "source_up", "")).toBe(1);
    await rig?.done();
  }
});

test("one log line when a source fails, one when it is back", async () => {
  let works = false;
  const { scrape, lines } = await start({
    applications: [
      (_q, r) => void (works ? r.writeHead(200, { "content-type": "text/plain" }).end(good) : r.writeHead(503).end()),
    ],
  });
  for (let i = 0; i < 3; i++) await scrape();
  works = true;
  for (let i = 0; i < 3; i++) await scrape();
  const said = lines.filter(({ level }) => level !== "debug").map(({ level, facts }) => [level, facts["cause"]]);
  expect(said).toEqual([
    ["warn", "status"],
    ["info", undefined],
  ]);
});

test("a scraper that goes away takes its requests to the sources with it", async () => {
  const { port, seen } = await start({ envoy: endless('e{a="b"} 1\n'.repeat(500)) });
  const { request } = await import("node:http");
  const outgoing = request({ host: "127.0.0.1", port, path: "/stats/prometheus", agent: false }, (incoming) => {
    incoming.once("data", () => incoming.destroy());
    incoming.on("error", () => undefined);
  });
  outgoing.on("error", () => undefined);
  outgoing.end();
  await eventually("the source's connection is closed", () => seen["envoy"]?.[0]?.socket.destroyed === true);
});

test("more scrapes at once than anybody needs are refused", async () => {
  const { scrape, metrics } = await start({ envoy: () => undefined });
  const all = await Promise.all(
    Array.from({ length: 10 }, () => scrape({ "x-prometheus-scrape-timeout-seconds": "0.5" })),
  );
  expect(all.map(({ status }) => status).sort((a, b) => a - b)).toEqual([...Array<number>(8).fill(200), 503, 503]);
  expect(await metrics.text()).toContain("\npilotfish_scrapes_refused_total 2\n");
});

test("Envoy's statistics change hands in the middle of a scrape: it asks again, and the page is whole", async () => {
  let asked = 0;
  const { scrape, lines } = await start({
    envoy: (_request, response) => {
      asked++;
      if (asked === 1) response.destroy();
      else if (asked < 4) response.writeHead(503).end("upstream connect error");
      else response.end("envoy_x 1\n");
    },
    applications: ["a 1\n"],
  });
  const page = (await scrape()).body.toString();
  expect([asked, page.includes("\nenvoy_x 1\n"), page.includes("\na 1\n")]).toEqual([4, true, true]);
  expect(page).toContain('\npilotfish_scrape_source_up{source="envoy"} 1\n');
  expect(lines).toEqual([]);
});

test("an Envoy that goes on saying 503 is given up; an application is asked once", async () => {
  let asked = 0;
  const { scrape } = await start({
    envoy: (_request, response) => void response.writeHead(503).end(),
    applications: [
      (_request, response) => {
        asked++;
        response.writeHead(503).end();
      },
      "a 1\n",
    ],
  });
  const page = (await scrape()).body.toString();
  expect(page).toContain('\npilotfish_scrape_source_failure{source="envoy",cause="status"} 1\n');
  expect([asked, page.includes("\na 1\n")]).toEqual([1, true]);
});

test("the report counts what is on the page", async () => {
  const { scrape } = await start({ applications: ["a 1\nb 2\nnot a line at all {\n", "a 9\n# TYPE c counter\nc 1\n"] });
  const { body } = await scrape();
  const page = body.toString();
  const of = (name: string): number =>
    page
      .split("\n")
      .filter((line) => line.startsWith(`pilotfish_scrape_source_${name}{`))
      .reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  const report = page.split("\n").filter((line) => line.startsWith("pilotfish_scrape_")).length;
  expect(of("samples")).toBe(sampleCount(page) - report);
  expect(of("families")).toBe(
    page.split("\n").filter((line) => /^# TYPE (?!pilotfish_scrape_(source|dropped_f))/.test(line)).length,
  );
  expect(page).toMatch(
    /pilotfish_scrape_source_dropped_samples\{source="application:\d+\/metrics",reason="syntax"\} 1\n/,
  );
  expect(page).toMatch(
    /pilotfish_scrape_source_dropped_samples\{source="application:\d+\/metrics",reason="duplicate"\} 1\n/,
  );
});
