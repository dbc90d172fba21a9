import { randomBytes } from "node:crypto";
import { type IncomingMessage, type RequestListener, request, type ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { eventually } from "../../helpers/eventually.ts";
import { type Answer, type Rig, startRig } from "./scrape-rig.ts";

/* A page goes out as it comes, and comes as it goes out. */

let rig: Rig | undefined;
let scrapers: IncomingMessage[] = [];
afterEach(async () => {
  for (const one of scrapers) one.destroy();
  scrapers = [];
  await rig?.done();
  rig = undefined;
});
async function start(parts: { envoy?: Answer; applications?: readonly Answer[] }): Promise<Rig> {
  rig = await startRig(parts);
  return rig;
}

/** A scraper that has the head and reads nothing yet; it has a minute. */
function ask(port: number, coding?: string): Promise<IncomingMessage> {
  const headers = { "x-prometheus-scrape-timeout-seconds": "60", "accept-encoding": coding ?? "identity" };
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, path: "/stats/prometheus", agent: false, headers });
    outgoing.once("error", reject);
    outgoing.once("response", (incoming) => {
      scrapers.push(incoming);
      incoming.on("error", () => undefined);
      resolve(incoming);
    });
    outgoing.end();
  });
}

function decoded(incoming: IncomingMessage, coding?: string): Readable {
  if (coding === undefined) return incoming;
  const decoder = coding === "gzip" ? createGunzip() : createZstdDecompress();
  return incoming.pipe(decoder);
}

/** What the scraper can read of the page so far. */
function watch(incoming: IncomingMessage, coding?: string): () => string {
  let seen = "";
  decoded(incoming, coding).on("data", (part: Buffer) => {
    seen += part.toString("latin1");
  });
  return () => seen;
}

const head = { "content-type": "text/plain" };
const codings = [undefined, "gzip", "zstd"];

describe("the first bytes are early", () => {
  test.each(codings)("the agent's own part while the first source says nothing; %s", async (coding) => {
    const silent: ServerResponse[] = [];
    const { port } = await start({ envoy: (_request, response) => void silent.push(response) });
    const seen = watch(await ask(port, coding), coding);
    // To its last line: what is compressed is not kept back either.
    const own = (await rig?.metrics.text())?.trimEnd().split("\n").at(-1)?.split(" ")[0] ?? "";
    expect(own).not.toBe("");
    await eventually("the agent's own part is there", () => seen().includes(own));
    expect(seen()).not.toContain("envoy_late");
    expect(silent).toHaveLength(1);
    silent[0]?.end("envoy_late 1\n");
    await eventually("the page is there to its end", () => seen().includes("\nenvoy_late 1\n"));
  });

  test.each(codings)("a source's first lines while it has not sent the rest; %s", async (coding) => {
    let sent = 0;
    let goOn = true;
    const answer: RequestListener = (_request, response) => {
      response.writeHead(200, head).write("# TYPE e gauge\n");
      const more = (): void => {
        if (!goOn) return void response.end("e_last 1\n");
        // In itself alike, but not so much that a compressor can keep it to itself for ever.
        const lines = Array.from({ length: 500 }, () => `e{n="${sent++}",m="${(sent * 7919) % 10_007}"} 1\n`);
        response.write(lines.join(""), more);
      };
      more();
    };
    const { port } = await start({ envoy: answer });
    const seen = watch(await ask(port, coding), coding);
    await eventually("its first lines are there", () => seen().includes('\ne{n="0",'));
    expect(seen()).not.toContain("e_last");
    goOn = false;
    await eventually("and its last one", () => seen().includes("\ne_last 1\n"));
  });

  test("and small ones at once: nothing waits for more of them", async () => {
    const responses: ServerResponse[] = [];
    const { port } = await start({
      envoy: (_request, response) => {
        responses.push(response.writeHead(200, head));
        // More than is held.
        response.write(`# TYPE e gauge\n${'e{a="held"} 1\n'.repeat(1_500)}`);
      },
    });
    const seen = watch(await ask(port));
    for (let i = 0; i < 3; i++) {
      await eventually("the source was asked", () => responses.length === 1);
      responses[0]?.write(`e{a="alone ${i}"} 1\n`);
      await eventually("its line is there", () => seen().includes(`\ne{a="alone ${i}"} 1\n`));
    }
  });
});

/** Something that does not pack well, not even with what was some megabytes before. */
const noise = randomBytes(3 * 1024 * 1024)
  .toString("base64")
  .replaceAll(/[^a-zA-Z0-9]/g, "x");
const line = (n: number): string => `e{n="${n}",noise="${noise.substr((n * 80) % (noise.length - 80), 80)}"} 1\n`;
/** 44 MB; sockets on both sides of us hold a quarter of that. */
const lines = 400_000;
const mostInSockets = 30e6;

/** Sends the lines as fast as it can; how many bytes of them it could write. */
function counted(): { readonly answer: RequestListener; readonly sent: () => number } {
  let sent = 0;
  let next = 0;
  const answer: RequestListener = (_request, response) => {
    response.writeHead(200, head).write("# TYPE e gauge\n");
    const more = (): void => {
      while (next < lines && !response.destroyed) {
        let piece = "";
        for (const end = Math.min(lines, next + 500); next < end; next++) piece += line(next);
        sent += piece.length;
        if (!response.write(piece)) break;
      }
      if (next >= lines) response.end();
      else response.once("drain", more);
    };
    more();
  };
  return { answer, sent: () => sent };
}

/** Resolves when the number has stood still for a while; so it is the only wait here that takes time on purpose. */
async function still(what: string, number: () => number): Promise<number> {
  let last = -1;
  let since = performance.now();
  await eventually(what, () => {
    if (number() !== last) since = performance.now();
    last = number();
    return last > 0 && performance.now() - since > 250;
  });
  return last;
}

/** The lines that are what they should be, up to the first one that is not, and all others. */
async function readAll(incoming: IncomingMessage, coding?: string): Promise<{ right: number; rest: string }> {
  let right = 0;
  let rest = "";
  let half = "";
  for await (const part of decoded(incoming, coding)) {
    const all = (half + part.toString("latin1")).split("\n");
    half = all.pop() ?? "";
    for (const one of all)
      if (`${one}\n` === line(right)) right++;
      else rest += `${one}\n`;
  }
  return { right, rest };
}

describe("a scraper that does not read", () => {
  test.each(codings)("is not read for either, and takes no memory; %s", async (coding) => {
    const { answer, sent } = counted();
    const { port } = await start({ envoy: answer });
    const before = process.memoryUsage.rss();
    await ask(port, coding);
    const stopped = await still("the source can write no more", sent);
    expect(stopped).toBeLessThan(mostInSockets);
    expect(process.memoryUsage.rss() - before).toBeLessThan(40e6);
  });

  test.each(codings)("gets its page whole when it reads on; %s", async (coding) => {
    const { answer, sent } = counted();
    const { port } = await start({ envoy: answer, applications: ["# TYPE after gauge\nafter 1\n"] });
    const incoming = await ask(port, coding);
    await still("the source can write no more", sent);
    const { right, rest } = await readAll(incoming, coding);
    expect(sent()).toBeGreaterThan(mostInSockets);
    expect(right).toBe(lines);
    expect(rest).toContain("\nafter 1\n");
    expect(rest).toContain('pilotfish_scrape_source_up{source="envoy"} 1\n');
  });
});
