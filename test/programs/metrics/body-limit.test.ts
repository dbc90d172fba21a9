import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { createGzip, createZstdCompress, type Gzip, type ZstdCompress } from "node:zlib";
import { afterEach, expect, test } from "vitest";
import { sourcesOf } from "../../../src/metrics/scrape-sources.ts";
import { type Answer, configWith, type Rig, startRig } from "./scrape-rig.ts";

/* The limits are far above what a test can afford to send, but lines that are all alike pack well. */

const MiB = 1024 * 1024;
const APPLICATION = 128 * MiB;
const ENVOY = 512 * MiB;

let rig: Rig | undefined;
afterEach(async () => {
  await rig?.done();
  rig = undefined;
});

const line = `large{padding="${"0".repeat(1_000)}"} 1\n`;
const lines = Buffer.from(line.repeat(1_000));
/** Long ones, and nothing goes out of them, so that much of it costs little. */
const comments = Buffer.from(`# ${"0".repeat(100_000)}\n`.repeat(10));

/** A page of exactly so many bytes. */
async function packed(coder: Gzip | ZstdCompress, piece: Buffer, bytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  coder.on("data", (part: Buffer) => parts.push(part));
  for (let left = bytes; left > 0; left -= piece.length) {
    // The last one may be a part of a comment.
    const one = piece.subarray(0, left);
    await new Promise<void>((resolve) => coder.write(one, () => resolve()));
  }
  coder.end();
  await once(coder, "end");
  return Buffer.concat(parts);
}

const answerOf =
  (coding: string, body: Buffer): Answer =>
  (_request, response) =>
    void response.writeHead(200, { "content-type": "text/plain", "content-encoding": coding }).end(body);

interface Read {
  /** All lines but the large ones. */
  readonly rest: string;
  /** Large lines that are what they were. */
  readonly large: number;
  /** What the process had at most, beyond what it had before; MiB. */
  readonly grown: number;
}

/** A scraper that keeps nothing of what is the same again and again. */
async function read(port: number): Promise<Read> {
  const before = process.memoryUsage.rss();
  let highest = before;
  let large = 0;
  let rest = "";
  let half = "";
  const headers = { "x-prometheus-scrape-timeout-seconds": "50" };
  const outgoing = request({ host: "127.0.0.1", port, path: "/stats/prometheus", agent: false, headers }).end();
  const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
  incoming.on("data", (part: Buffer) => {
    highest = Math.max(highest, process.memoryUsage.rss());
    const [...whole] = (half + part.toString("latin1")).split("\n");
    half = whole.pop() ?? "";
    for (const one of whole) {
      if (one.length === line.length - 1 && line.startsWith(one)) large++;
      else rest += `${one}\n`;
    }
  });
  await once(incoming, "end");
  return { rest, large, grown: (highest - before) / MiB };
}

const reported = (page: string, name: string): number | undefined => {
  const found = new RegExp(`^pilotfish_scrape_source_${name}.* (\\d+)$`, "m").exec(page)?.[1];
  return found === undefined ? undefined : Number(found);
};

test("an application that sends more than 128 MiB is cut off, and nothing of it was in memory", async () => {
  const body = await packed(createGzip({ level: 1 }), lines, 130 * MiB);
  rig = await startRig({ applications: [answerOf("gzip", body), "# TYPE after gauge\nafter 1\n"] });
  // What a scrape takes once for all is there already.
  await rig.scrape({ "x-prometheus-scrape-timeout-seconds": "0.1" });
  const { rest, large, grown } = await read(rig.port);
  expect(rest).toContain("\nafter 1\n");
  expect(reported(rest, 'failure\\{source="application:\\d+/metrics",cause="too_large"\\}')).toBe(1);
  // All but what is in the piece that is too much.
  expect(large).toBeLessThanOrEqual(APPLICATION / line.length);
  expect(large).toBeGreaterThan((APPLICATION - 128 * 1024) / line.length);
  expect(reported(rest, 'samples\\{source="application')).toBe(large);
  expect(grown).toBeLessThan(40);
});

test.each<readonly [title: string, bytes: number, failure: number | undefined, parts: (answer: Answer) => object]>([
  ["an application may send 128 MiB", APPLICATION, undefined, (answer) => ({ applications: [answer] })],
  ["and not a byte more", APPLICATION + 1, 1, (answer) => ({ applications: [answer] })],
  ["Envoy may send 512 MiB, and not a byte more", ENVOY + 1, 1, (answer) => ({ envoy: answer })],
])("%s", async (_, bytes, failure, parts) => {
  const body = await packed(createZstdCompress(), comments, bytes);
  rig = await startRig(parts(answerOf("zstd", body)));
  const { rest, grown } = await read(rig.port);
  expect(reported(rest, 'failure.*,cause="too_large"\\}')).toBe(failure);
  // Up to the very last byte it was read.
  expect(reported(rest, 'bytes\\{source="(?!agent)')).toBe(bytes);
  expect(grown).toBeLessThan(40);
});

test("each target has its own limit", () => {
  const targets = [1_000, 2_000].map((port) => ({ port, path: "/metrics" }));
  const envoy = { to: { host: "127.0.0.1", port: 3_000 }, path: "/stats/prometheus" };
  const limits = sourcesOf(configWith(targets), envoy, "").map(({ type, limit }) => [type, limit]);
  expect(limits).toEqual([
    ["envoy", ENVOY],
    ["application", APPLICATION],
    ["application", APPLICATION],
  ]);
});
