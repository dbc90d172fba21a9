import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type RequestListener, request, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { noLog } from "../../../src/foundation/log.ts";
import { createAgentMetrics } from "../../../src/metrics/agent-metrics.ts";
import { serveMergedMetrics } from "../../../src/metrics/serve-metrics.ts";
import { ownUsage } from "../../../src/system/own-usage.ts";
import { turnOfTheLoop } from "../../../src/system/turn.ts";
import { FakeClock } from "../../fakes/fake-clock.ts";
import { eventually } from "../../helpers/eventually.ts";
import { configWith } from "./scrape-rig.ts";

/* Real sockets, and a time that moves when a test says so: all is by the millisecond, and nothing waits for it. */

let clock: FakeClock;
let servers: Server[] = [];
let scrapers: Socket[] = [];
afterEach(async () => {
  for (const one of scrapers) one.destroy();
  for (const one of servers) {
    one.closeAllConnections();
    await new Promise((resolve) => one.close(resolve));
  }
  scrapers = [];
  servers = [];
  await eventually("no timer is left", () => clock.pending() === 0);
});

async function serve(answer: RequestListener): Promise<number> {
  const server = createServer(answer);
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

interface Rig {
  readonly port: number;
  /** Each source that failed, as its number and the cause, in order. */
  readonly failed: readonly string[];
}

async function start(...answers: readonly RequestListener[]): Promise<Rig> {
  clock = new FakeClock();
  const targets = await Promise.all(answers.map(async (one) => ({ port: await serve(one), path: "/metrics" })));
  const failed: string[] = [];
  const warn = (
    _text: string,
    { source, cause }: { readonly source?: unknown; readonly cause?: unknown } = {},
  ): void => {
    failed.push(`${targets.findIndex(({ port }) => String(source).includes(`:${port}/`))} ${String(cause)}`);
  };
  const handler = serveMergedMetrics({
    config: configWith(targets),
    metrics: createAgentMetrics({ usage: ownUsage, build: { version: "", commit: "", node: "" } }),
    clock,
    log: { ...noLog, warn },
    envoy: () => undefined,
  });
  return { port: await serve((incoming, outgoing) => void handler(incoming, outgoing)), failed };
}

interface Scrape {
  /** What came so far. */
  text(): string;
  /** Undefined while it is under way; whether the page came to its end. */
  ended(): boolean | undefined;
  status(): number | undefined;
}

/** A scrape with a time-out of one second: 950 ms for the page. */
function scrape(port: number, more: Readonly<Record<string, string>> = {}): Scrape {
  let text = "";
  let ended: boolean | undefined;
  let status: number | undefined;
  const headers = { "x-prometheus-scrape-timeout-seconds": "1", ...more };
  request({ host: "127.0.0.1", port, path: "/stats/prometheus", agent: false, headers }, (incoming) => {
    status = incoming.statusCode;
    incoming.on("data", (part: Buffer) => {
      text += part.toString("latin1");
    });
    incoming.on("error", () => undefined);
    incoming.once("close", () => {
      ended = incoming.complete;
    });
  })
    .on("error", () => undefined)
    .end();
  return { text: () => text, ended: () => ended, status: () => status };
}

/** Whatever can happen now has happened. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await turnOfTheLoop();
}

const whole = (one: Scrape): Promise<unknown> => eventually("the page is whole", () => one.ended());
const head = { "content-type": "text/plain" };
/** More than is held back, so that it is seen as soon as it came. */
const large = (name: string): string => `# TYPE ${name} gauge\n${`${name}{a="b"} 1\n`.repeat(2_000)}`;

/** A source that takes its cues from the test. */
function prompted(): { readonly answer: RequestListener; readonly response: () => Promise<ServerResponse> } {
  const asked: ServerResponse[] = [];
  return {
    answer: (_request, response) => void asked.push(response),
    response: () => eventually("the source was asked", () => asked.at(-1)),
  };
}

describe("the margin", () => {
  test.each([
    ["1", "0.950", 950],
    ["0.4", "0.380", 380],
    ["10", "9.500", 9_500],
    ["300", "109.500", 109_500],
    ["soon", "9.500", 9_500],
  ])("of %s s a source is told %s, and that is when the page ends if it says nothing", async (timeout, told, ends) => {
    const { answer, response } = prompted();
    const { port, failed } = await start(answer);
    const page = scrape(port, { "x-prometheus-scrape-timeout-seconds": timeout });
    expect((await response()).req.headers["x-prometheus-scrape-timeout-seconds"]).toBe(told);
    await eventually("our own part is there", () => page.text().includes("istio_agent_"));
    clock.advance(ends - 1);
    await settled();
    expect([page.ended(), failed]).toEqual([undefined, []]);
    clock.advance(1);
    await whole(page);
    expect(failed).toEqual(["0 deadline"]);
    expect(page.text()).toMatch(/^pilotfish_scrape_source_failure\{source="application.*",cause="deadline"\} 1$/m);
  });

  test("each of several sources is told its own time", async () => {
    const told: unknown[] = [];
    const answer: RequestListener = (incoming, outgoing) => {
      told.push(incoming.headers["x-prometheus-scrape-timeout-seconds"]);
      outgoing.end();
    };
    const hangsUp: RequestListener = (incoming, outgoing) => {
      told.push(incoming.headers["x-prometheus-scrape-timeout-seconds"]);
      outgoing.destroy();
    };
    const { port, failed } = await start(answer, hangsUp, answer);
    await whole(scrape(port));
    expect(new Set(told)).toEqual(new Set(["0.760", "0.855", "0.950"]));
    expect(failed).toEqual(["1 truncated"]);
  });
});

describe("the time of several sources", () => {
  test("a silent first one leaves the second its time: it is whole, though it needs 40 % of all for its page", async () => {
    const first = prompted();
    const second = prompted();
    const { port, failed } = await start(first.answer, second.answer);
    const page = scrape(port);
    await first.response();
    const answer = await second.response();
    answer.writeHead(200, head).write(large("second"));
    await eventually("our own part is there", () => page.text().includes("istio_agent_"));
    clock.advance(427);
    await settled();
    expect([page.text().includes("second{"), failed]).toEqual([false, []]);
    clock.advance(1);
    await eventually("the second one's turn has come", () => page.text().includes("second{"));
    expect(failed).toEqual(["0 deadline"]);
    clock.advance(380);
    await settled();
    answer.end("second_last 1\n");
    await whole(page);
    expect(page.text()).toContain("\nsecond_last 1\n");
    expect(failed).toEqual(["0 deadline"]);
  });

  test("a first one that stalls behind its head takes its own time, and a small second one is whole", async () => {
    const first = prompted();
    const { port, failed } = await start(first.answer, (_request, response) => void response.end("second 1\n"));
    const page = scrape(port);
    (await first.response()).writeHead(200, head).write(large("first"));
    await eventually("the first one has begun", () => page.text().includes("first{"));
    clock.advance(854);
    await settled();
    expect([page.ended(), failed]).toEqual([undefined, []]);
    clock.advance(1);
    await whole(page);
    expect(failed).toEqual(["0 deadline"]);
    expect(page.text()).toContain("\nsecond 1\n");
    expect(page.text()).toContain(large("first"));
  });

  test("a first one that sends its head and nothing else takes no more than that", async () => {
    const first = prompted();
    const { port, failed } = await start(first.answer, (_request, response) => void response.end("second 1\n"));
    const page = scrape(port);
    (await first.response()).writeHead(200, head).flushHeaders();
    await eventually("our own part is there", () => page.text().includes("istio_agent_"));
    await settled();
    clock.advance(855);
    await whole(page);
    expect([page.text().includes("\nsecond 1\n"), failed]).toEqual([true, ["0 deadline"]]);
  });

  test("of three that say nothing each is given up at half of its time, and the last one at the end", async () => {
    const silent = prompted();
    const { port, failed } = await start(silent.answer, silent.answer, silent.answer);
    const page = scrape(port);
    await eventually("our own part is there", () => page.text().includes("istio_agent_"));
    const seen: string[] = [];
    for (let at = 1; at <= 950; at++) {
      clock.advance(1);
      // A source's timer is set when its turn comes.
      if ([380, 428, 950].includes(at)) await eventually(`${at} ms`, () => failed.length === seen.length + 1);
      else if (at % 50 === 0) await settled();
      if (failed.length > seen.length) seen.push(`${at} ms: ${failed.at(-1)}`);
    }
    expect(seen).toEqual(["380 ms: 0 deadline", "428 ms: 1 deadline", "950 ms: 2 deadline"]);
    await whole(page);
  });
});

describe("a scraper that does not read", () => {
  /** Pieces that do not pack well, not even with those some megabytes before. */
  const noise = Array.from(
    { length: 50 },
    () => `${Array.from({ length: 50 }, () => `e{a="${randomBytes(600).toString("base64url")}"} 1`).join("\n")}\n`,
  );

  /** The number has stood still for a while. */
  async function still(what: string, number: () => number): Promise<void> {
    let last = -1;
    let since = performance.now();
    await eventually(what, () => {
      if (number() !== last) since = performance.now();
      last = number();
      return performance.now() - since > 250;
    });
  }

  /** Asks, and leaves what comes where it is. */
  function deaf(port: number, coding: string): Socket {
    const socket = connect(port, "127.0.0.1").on("error", () => undefined);
    scrapers.push(socket);
    socket.pause();
    socket.write(
      `GET /stats/prometheus HTTP/1.1\r\nHost: x\r\nAccept-Encoding: ${coding}\r\nX-Prometheus-Scrape-Timeout-Seconds: 1\r\n\r\n`,
    );
    return socket;
  }

  test.each(["identity", "gzip", "zstd"])(
    "is cut off a second behind the page's time, and another one has its place; %s",
    async (coding) => {
      let asked = 0;
      let sent = 0;
      let over = 0;
      let good = false;
      const answer: RequestListener = (_request, response) => {
        if (good) return void response.end("good 1\n");
        asked++;
        response.once("close", () => over++);
        response.writeHead(200, head).write("# TYPE e gauge\n");
        const more = (): void => {
          let room = true;
          for (; room && !response.destroyed; sent++) room = response.write(noise[sent % noise.length]);
          if (!response.destroyed) response.once("drain", more);
        };
        more();
      };
      const { port } = await start(answer);
      for (let i = 0; i < 8; i++) deaf(port, coding);
      await eventually("eight scrapes are under way", () => asked === 8);
      await still("none of them is read any more", () => sent);
      const ninth = scrape(port);
      await eventually("the ninth is refused", () => ninth.status() === 503);
      await settled();
      good = true;
      clock.advance(1_949);
      await settled();
      const early = scrape(port);
      await eventually("there is no place yet", () => early.status() === 503);
      clock.advance(1);
      await eventually("all sources are let go", () => over === 8);
      const late = scrape(port);
      await whole(late);
      expect([late.status(), late.text().includes("\ngood 1\n")]).toEqual([200, true]);
    },
  );
});
