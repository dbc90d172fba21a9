import type { RequestListener, ServerResponse } from "node:http";
import {
  brotliCompressSync,
  createBrotliCompress,
  createDeflate,
  createGzip,
  createZstdCompress,
  deflateSync,
  gzipSync,
  zstdCompressSync,
} from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { eventually } from "../../helpers/eventually.ts";
import { type Answer, type Rig, type Scraped, startRig } from "./scrape-rig.ts";

let rig: Rig | undefined;
afterEach(async () => {
  await rig?.done();
  rig = undefined;
});
/** A source, and a plain one behind it. */
async function scrapeOf(application: Answer): Promise<Scraped> {
  await rig?.done();
  rig = await startRig({ applications: [application, "after 1\n"] });
  const scraped = await rig.scrape();
  expect(scraped.body.toString()).toContain("\nafter 1\n");
  return scraped;
}

const causeOn = ({ body }: Scraped): string | undefined =>
  /^pilotfish_scrape_source_failure\{source="application:\d+\/metrics",cause="(\w+)"\} 1$/m.exec(body.toString())?.[1];

const head = (coding: string) => ({ "content-type": "text/plain", "content-encoding": coding });
const large = `# TYPE large gauge\n${Array.from({ length: 3_000 }, (_, n) => `large{n="${(n * 7_919) % 3_001}"} ${n}\n`).join("")}`;

describe("a compressed source that is given up while its connection stays open is not waited for", () => {
  const encoders = {
    gzip: createGzip,
    "x-gzip": createGzip,
    deflate: createDeflate,
    br: createBrotliCompress,
    zstd: createZstdCompress,
  } as const;

  /** Sends what is compressed so far, and then nothing: neither more nor the end. */
  function open(coding: keyof typeof encoders, page: string | Buffer, responses: ServerResponse[]): RequestListener {
    return (_request, response) => {
      responses.push(response.writeHead(200, head(coding)));
      const encoder = encoders[coding]();
      encoder.pipe(response, { end: false });
      encoder.write(page);
      encoder.flush();
    };
  }

  test.each(Object.keys(encoders) as (keyof typeof encoders)[])("%s", async (coding) => {
    const responses: ServerResponse[] = [];
    const scraped = await scrapeOf(open(coding, large + "no line {\n".repeat(200), responses));
    // Not the deadline: it was over before that, and by us.
    expect([causeOn(scraped), scraped.complete]).toEqual(["garbage", true]);
    expect(scraped.body.toString()).toContain(large);
    expect(responses.map(({ writableEnded }) => writableEnded)).toEqual([false]);
    await eventually("its connection is closed", () => responses[0]?.destroyed);
  });

  test.each([
    ["encoding", Buffer.alloc(500, "\xff\n", "latin1")],
    ["long_line", "x".repeat(300_000)],
    ["too_many_families", Array.from({ length: 20_001 }, (_, n) => `f${n} 1\n`).join("")],
  ])("%s", async (cause, rest) => {
    const responses: ServerResponse[] = [];
    const page = Buffer.concat([Buffer.from(large), Buffer.from(rest)]);
    const scraped = await scrapeOf(open("gzip", page, responses));
    expect([causeOn(scraped), scraped.complete]).toEqual([cause, true]);
    expect(scraped.body.toString()).toContain(large);
    expect(responses.map(({ writableEnded }) => writableEnded)).toEqual([false]);
  });

  test("nor is one that answers with an error, or with something that is no page", async () => {
    const responses: ServerResponse[] = [];
    const answer =
      (status: number, type: string): RequestListener =>
      (_request, response) => {
        responses.push(response.writeHead(status, { ...head("gzip"), "content-type": type }));
        response.write(gzipSync(large).subarray(0, 100));
      };
    expect(causeOn(await scrapeOf(answer(500, "text/plain")))).toBe("status");
    expect(causeOn(await scrapeOf(answer(200, "image/png")))).toBe("content_type");
    expect(responses.map(({ writableEnded }) => writableEnded)).toEqual([false, false]);
  });
});

/** Each part by itself, however it is read. */
const inParts =
  (coding: string, parts: readonly Buffer[]): RequestListener =>
  (_request, response) => {
    response.writeHead(200, head(coding));
    const send = ([part, ...rest]: readonly Buffer[]): void => {
      if (part === undefined) response.end();
      else response.write(part, () => setImmediate(() => send(rest)));
    };
    send(parts);
  };

const present = ({ body }: Scraped): readonly string[] => body.toString().match(/^(first|second) \d$/gm) ?? [];

describe("what consists of several", () => {
  const [first, second] = ["first 1\n", "second 2\n"] as const;

  test("gzip: all members are read, wherever the pieces end", async () => {
    const [one, two] = [gzipSync(first), gzipSync(second)];
    const all = Buffer.concat([one, two]);
    // At the border of both, and some bytes around it.
    for (const cut of [0, 1, 9, 10, one.length - 8, ...[-2, -1, 0, 1, 2, 3, 10].map((by) => one.length + by)]) {
      const scraped = await scrapeOf(inParts("gzip", [all.subarray(0, cut), all.subarray(cut)]));
      expect([cut, present(scraped), causeOn(scraped)]).toEqual([cut, ["first 1", "second 2"], undefined]);
    }
  });

  test("gzip: many large members", async () => {
    const parts = Array.from({ length: 20 }, (_, n) => `# TYPE m${n} gauge\n${`m${n}{a="b"} 1\n`.repeat(2_000)}`);
    const scraped = await scrapeOf(inParts("gzip", [Buffer.concat(parts.map((one) => gzipSync(one)))]));
    for (const one of parts) expect(scraped.body.toString()).toContain(one);
    expect(causeOn(scraped)).toBeUndefined();
  });

  test("zstd: the first frame is read, and that there is more is said", async () => {
    const frames = [first, second].map((one) => zstdCompressSync(one));
    const scraped = await scrapeOf(inParts("zstd", [Buffer.concat(frames)]));
    expect([present(scraped), causeOn(scraped)]).toEqual([["first 1"], "truncated"]);
  });

  test("zstd: wherever the pieces end, nothing is lost without a word", async () => {
    const [one, two] = [zstdCompressSync(first), zstdCompressSync(second)];
    const all = Buffer.concat([one, two]);
    for (let cut = 1; cut < all.length; cut++) {
      const scraped = await scrapeOf(inParts("zstd", [all.subarray(0, cut), all.subarray(cut)]));
      const wanted = causeOn(scraped) === "truncated" ? ["first 1"] : ["first 1", "second 2"];
      expect([cut, present(scraped)]).toEqual([cut, wanted]);
    }
  });
});

describe("what is cut is truncated, and the lines before the cut stay", () => {
  const packers = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync, zstd: zstdCompressSync } as const;
  const page = `# TYPE large gauge\n${Array.from({ length: 30_000 }, (_, n) => `large{n="${(n * 7_919) % 30_011}"} ${n}\n`).join("")}`;

  test.each(Object.keys(packers) as (keyof typeof packers)[])("%s", async (coding) => {
    const whole = packers[coding](page);
    const half = whole.subarray(0, Math.floor(whole.length * 0.7));
    const ways: Record<string, RequestListener> = {
      "an end that says that it is all": (_q, r) => void r.writeHead(200, head(coding)).end(half),
      "a connection that is cut": (_q, r) =>
        void r.writeHead(200, { ...head(coding), "content-length": whole.length }).write(half, () => r.destroy()),
      "a byte that is missing": (_q, r) => void r.writeHead(200, head(coding)).end(whole.subarray(0, -1)),
    };
    for (const [way, answer] of Object.entries(ways)) {
      const scraped = await scrapeOf(answer);
      expect([way, causeOn(scraped)]).toEqual([way, "truncated"]);
      const text = scraped.body.toString();
      const lines = text.slice(text.indexOf("# TYPE large"), text.indexOf("# HELP pilotfish_scrape_source_up"));
      const own = lines.split("\n").filter((one) => one.startsWith("large{") || one.startsWith("# TYPE large"));
      expect(own.length).toBeGreaterThan(100);
      expect(page.startsWith(`${own.join("\n")}\n`)).toBe(true);
    }
  });
});

// Its connection is closed by two, and its buffer must be given back once: else two sources are read into it.
test("a compressed source costs its neighbours nothing, neither now nor in the scrapes that follow", async () => {
  const packed = gzipSync("packed 1\n");
  rig = await startRig({
    applications: [(_q, r) => void r.writeHead(200, head("gzip")).end(packed), "plain_a 1\n", "plain_b 1\n"],
  });
  for (let i = 0; i < 6; i++) {
    const { body } = await rig.scrape();
    expect([i, body.toString().match(/^(packed|plain_\w) 1$/gm)]).toEqual([i, ["packed 1", "plain_a 1", "plain_b 1"]]);
  }
});
