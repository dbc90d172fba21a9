import { once } from "node:events";
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  request,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync, gzipSync, zstdDecompressSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { agreeOnForm, type Coding } from "../../../src/metrics/negotiate.ts";
import { PageOutput } from "../../../src/metrics/page-output.ts";
import { PageWriter } from "../../../src/metrics/page-writer.ts";
import { scrape } from "../../../src/metrics/scrape.ts";
import type { Source } from "../../../src/metrics/scrape-sources.ts";
import type { FailureCause } from "../../../src/metrics/tally.ts";
import { realClock } from "../../../src/system/clock.ts";
import { turnOfTheLoop } from "../../../src/system/turn.ts";
import { eventually } from "../../helpers/eventually.ts";

/* What came of a source before it was cut off must reach the scraper as it was, whoever uses the buffers next. */

const servers: Server[] = [];
afterEach(async () => {
  for (const one of servers.splice(0)) {
    one.closeAllConnections();
    await new Promise((resolve) => one.close(resolve));
  }
});

function serve(answer: RequestListener): Promise<number> {
  const server = createServer(answer);
  servers.push(server);
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)));
}

interface Given {
  readonly answer: RequestListener;
  /** The longest page that is read of it. */
  readonly limit?: number;
}

/** The merged page of these sources and nothing else; its port. */
async function serveMerged(given: readonly Given[], coding?: Coding): Promise<number> {
  const sources: Source[] = [];
  for (const [index, { answer, limit = 1e9 }] of given.entries()) {
    const targets = [{ host: "127.0.0.1", port: await serve(answer) }];
    sources.push({ label: `source ${index}`, type: "application", targets, path: "/metrics", limit });
  }
  return serve((_request, response) => {
    const writer = new PageWriter();
    const output = new PageOutput(response, coding, writer);
    const gone = new AbortController();
    response.once("close", () => gone.abort(new Error("the scraper is gone")));
    scrape({
      clock: realClock,
      turn: turnOfTheLoop,
      agreed: agreeOnForm(undefined),
      sources,
      own: () => Promise.resolve("agent 1\n"),
      budget: 20_000,
      writer,
      output,
      signal: gone.signal,
      onResult: () => undefined,
      onOwnFailure: () => undefined,
    }).catch(() => output.destroy());
  });
}

/** The head of a page whose body is read when somebody wants it. */
async function ask(port: number): Promise<IncomingMessage> {
  const outgoing = request({ host: "127.0.0.1", port, agent: false }).end();
  const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
  return incoming;
}

async function bodyOf(incoming: IncomingMessage, onText: (text: string) => void = () => undefined): Promise<Buffer> {
  const parts: Buffer[] = [];
  incoming.on("data", (part: Buffer) => {
    parts.push(part);
    onText(part.toString());
  });
  await once(incoming, "end");
  return Buffer.concat(parts);
}

const linesOf = (name: string, mark: string | number, from: number, to: number): string =>
  Array.from({ length: to - from }, (_, i) => `${name}{of="${mark}",n="${from + i}"} 7\n`).join("");
/** 30 kB in one family: too many to be held, so they go out from the place where they were read. */
const block = (name: string, mark: string | number = 0, lines = 1_500): string =>
  `# TYPE ${name} gauge\n${linesOf(name, mark, 0, lines)}`;

/** "whole", or where it ceases to be what it was. */
function found(page: Buffer, wanted: string): string {
  const text = page.toString("latin1");
  const start = text.indexOf(wanted.slice(0, wanted.indexOf("\n") + 1));
  if (start < 0) return "not there";
  if (text.startsWith(wanted, start)) return "whole";
  const lines = text.slice(start).split("\n");
  const line = wanted.split("\n").findIndex((one, i) => one !== lines[i]);
  return `line ${line} is ${JSON.stringify(lines[line])}`;
}

const causeOn = (page: Buffer): string | undefined =>
  /^pilotfish_scrape_source_failure\{source="source 0",cause="(\w+)"\} 1$/m.exec(page.toString())?.[1];

interface Cut {
  readonly cause: FailureCause;
  readonly before?: string;
  /** In the same write as the last of the good lines. */
  readonly behind: string;
}

const names = (count: number, prefix = "name"): string =>
  Array.from({ length: count }, (_, i) => `${prefix}${i} 1\n`).join("");
/** The beginning of another line: what waits for its end is moved to the front when there is room to be made. */
const half = 'half_a_line{of="';

const cuts: readonly Cut[] = [
  { cause: "garbage", behind: `${"{\n".repeat(101)}${half}` },
  { cause: "encoding", behind: `${"\xff\n".repeat(101)}${half}` },
  { cause: "long_line", behind: "x".repeat(300_000) },
  // With that of the good lines 20,000 are still allowed.
  { cause: "too_many_families", before: names(19_999), behind: `${names(2, "more")}${half}` },
];

/** The good lines of a source that is cut off are these; it sends them in two parts, and in the second one all that is bad. */
const good = (mark: string | number): string => block("good", mark, 2_100);
const parts = ({ before = "", behind }: Cut, mark: string | number): readonly [Buffer, Buffer] => [
  Buffer.from(before + block("good", mark)),
  // 13 kB, so that one read gets them all; those that are sent from their place are from 8 kB on.
  Buffer.from(linesOf("good", mark, 1_500, 2_100) + behind, "latin1"),
];

const head = { "content-type": "text/plain" };
const next: Given = { answer: (_request, response) => void response.end(block("next")) };

describe.each(cuts)("lines before a cut: $cause", (cut) => {
  test.each(["with a length", "in chunks"])("are there, and so is the next source's page; %s", async (framing) => {
    const [early, late] = parts(cut, "x");
    let goOn = (): void => undefined;
    const answer: RequestListener = (_request, response) => {
      const length = { "content-length": early.length + late.length };
      response.writeHead(200, framing === "in chunks" ? head : { ...head, ...length });
      response.write(early);
      // It never ends: that it is cut off is not a matter of its end.
      goOn = () => void response.write(late);
    };
    const port = await serveMerged([{ answer }, next]);
    // From the first lines on it is read into the room, and so is what comes now.
    const page = await bodyOf(await ask(port), (text) => {
      if (text.includes('n="1499"')) goOn();
    });
    expect(causeOn(page)).toBe(cut.cause);
    expect([good("x"), block("next")].map((one) => found(page, one))).toEqual(["whole", "whole"]);
  });

  test.each(["gzip", "zstd"] as const)("are there when the page goes out as %s", async (coding) => {
    const [early, late] = parts(cut, "x");
    const answer: RequestListener = (_request, response) => {
      response.writeHead(200, head);
      response.write(early, () => response.write(late));
    };
    const packed = await bodyOf(await ask(await serveMerged([{ answer }, next], coding)));
    const page = coding === "gzip" ? gunzipSync(packed) : zstdDecompressSync(packed);
    expect(causeOn(page)).toBe(cut.cause);
    expect([good("x"), block("next")].map((one) => found(page, one))).toEqual(["whole", "whole"]);
  });

  test("are each scraper's own while others scrape", async () => {
    let asked = 0;
    const bad: RequestListener = (_request, response) =>
      void response.writeHead(200, head).write(Buffer.concat(parts(cut, asked++)));
    const waiting: ServerResponse[] = [];
    const slow: RequestListener = (_request, response) => void waiting.push(response);
    const port = await serveMerged([{ answer: bad }, { answer: slow }]);
    const pages: Promise<Buffer>[] = [];
    for (let i = 0; i < 4; i++) {
      pages.push(ask(port).then((incoming) => bodyOf(incoming)));
      // One after the other, so that each has its own number; none of them can end.
      await eventually("both sources were asked", () => asked === i + 1 && waiting.length === i + 1);
    }
    for (const [i, response] of waiting.entries()) response.writeHead(200, head).end(block("next", i));
    for (const [i, page] of (await Promise.all(pages)).entries()) {
      expect(causeOn(page)).toBe(cut.cause);
      const blocks = [good(i), block("next", i)];
      expect([i, ...blocks.map((one) => found(page, one))]).toEqual([i, "whole", "whole"]);
    }
  });
});

test("lines before a cut wait for a scraper that is slow to read while another one gets a page of its own", async () => {
  const pageOf = (mark: number): string => block("good", mark, 250_000);
  const pages = [pageOf(0), pageOf(1)];
  let asked = 0;
  const answer: RequestListener = (_request, response) =>
    void response.writeHead(200, head).write(`${pages[asked++]}${"{\n".repeat(101)}${half}`);
  const port = await serveMerged([{ answer }, next]);
  const slow = await ask(port);
  await eventually("the slow one's lines were asked for", () => asked === 1);
  const quickPage = await bodyOf(await ask(port));
  const slowPage = await bodyOf(slow);
  for (const [i, page] of [slowPage, quickPage].entries())
    expect([causeOn(page), found(page, pages[i] ?? ""), found(page, block("next"))]).toEqual([
      "garbage",
      "whole",
      "whole",
    ]);
});

test("a page that is too large stays as far as it was read: nothing but its first lines, as they were", async () => {
  const all = block("good", "x", 30_000);
  const limit = 300_000;
  const answer: RequestListener = (_request, response) => {
    response.writeHead(200, head);
    // Pieces that do not end with a line.
    for (let at = 0; at < all.length; at += 10_007) response.write(all.slice(at, at + 10_007));
  };
  const page = await bodyOf(await ask(await serveMerged([{ answer, limit }, next])));
  expect([causeOn(page), found(page, block("next"))]).toEqual(["too_large", "whole"]);
  const text = page.toString();
  const lines = text.slice(text.indexOf("# TYPE good"), text.indexOf("# TYPE next"));
  expect(all.startsWith(lines)).toBe(true);
  // All but the piece that is too much, and the line that it would have ended.
  expect(limit - lines.length).toBeLessThan(10_100);
  expect(lines.length).toBeLessThanOrEqual(limit);
});

const byteByByte =
  (page: string): RequestListener =>
  (_request, response) => {
    for (const one of page) response.write(one);
    response.end();
  };

describe("the last line without its line feed stays", () => {
  const ends = `${block("good")}last{of="x"} 1`;
  test.each<readonly [how: string, answer: RequestListener]>([
    ["with a length", (_q, r) => void r.writeHead(200, { ...head, "content-length": ends.length }).end(ends)],
    ["in chunks", (_q, r) => void r.writeHead(200, head).write(ends, () => r.end())],
    ["to the end of the connection", (_q, r) => void r.socket?.end(`HTTP/1.1 200 OK\r\n\r\n${ends}`)],
    ["byte by byte", byteByByte(ends)],
    ["compressed", (_q, r) => void r.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(ends))],
  ])("%s", async (_, answer) => {
    const page = await bodyOf(await ask(await serveMerged([{ answer }, next])));
    const blocks = [block("good"), '# TYPE last untyped\nlast{of="x"} 1\n', block("next")];
    expect(blocks.map((one) => found(page, one))).toEqual(["whole", "whole", "whole"]);
    expect(causeOn(page)).toBeUndefined();
  });
});
