import { connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import { turnOfTheLoop } from "../../../src/system/turn.ts";
import { eventually } from "../../helpers/eventually.ts";
import { type Rig, startRig } from "./scrape-rig.ts";

/* What we ourselves want to know of Envoy comes before the scraper's question to it; and the end of a page. */

let rig: Rig | undefined;
afterEach(async () => {
  await rig?.done();
  rig = undefined;
});

/** Everybody in this process has had their turn, again and again. */
async function turns(): Promise<void> {
  for (let i = 0; i < 50; i++) await turnOfTheLoop();
}

test("Envoy is asked, and our own metrics are printed, when our own reading is over; applications at once", async () => {
  let done = (): void => undefined;
  let value = 1;
  rig = await startRig({
    envoy: "# TYPE of_envoy counter\nof_envoy 1\n",
    applications: ["# TYPE of_app counter\nof_app 1\n"],
    ownReading: () =>
      new Promise<void>((resolve) => {
        done = resolve;
      }),
  });
  rig.metrics.watch("pilotfish_ready", () => [{ labels: {}, value }]);
  const page = rig.scrape();
  await eventually("the application is asked", () => rig?.seen["application0"]?.length === 1);
  await turns();
  expect(rig.seen["envoy"]).toHaveLength(0);
  value = 0;
  done();
  const { body, complete } = await page;
  expect(complete).toBe(true);
  expect(body.toString()).toMatch(/^pilotfish_ready 0$[\s\S]*^of_envoy 1$[\s\S]*^of_app 1$/m);
  expect(rig.seen["envoy"]).toHaveLength(1);
});

test("a scraper that goes away meanwhile leaves nothing behind", async () => {
  let done = (): void => undefined;
  const begun: number[] = [];
  rig = await startRig({
    envoy: "of_envoy 1\n",
    ownReading: () =>
      new Promise<void>((resolve) => {
        begun.push(1);
        done = resolve;
      }),
  });
  const scraper = connect(rig.port, "127.0.0.1");
  scraper.on("error", () => undefined);
  scraper.write("GET /stats/prometheus HTTP/1.1\r\nhost: x\r\n\r\n");
  await eventually("it is under way", () => begun.length === 1);
  scraper.resetAndDestroy();
  await turns();
  done();
  await turns();
  expect(rig.seen["envoy"]).toHaveLength(0);
  // The next one is served as ever.
  const next = rig.scrape();
  await eventually("the next one", () => begun.length === 2);
  done();
  expect((await next).body.toString()).toMatch(/^of_envoy 1$/m);
});

test("a reading that fails is a line in the log, and the page is whole", async () => {
  rig = await startRig({ envoy: "of_envoy 1\n", ownReading: () => Promise.reject(new Error("a bug")) });
  expect((await rig.scrape()).body.toString()).toMatch(/^istio_agent_scrapes_total [\s\S]*^of_envoy 1$/m);
  expect(rig.lines.filter(({ level }) => level === "error").map(({ text }) => text)).toEqual([
    "internal error: cannot read of Envoy",
  ]);
});

test("an application's page is taken while Envoy still thinks about its own", async () => {
  let answer = (): void => undefined;
  const page = `# TYPE of_app gauge\n${Array.from({ length: 4_000 }, (_, i) => `of_app{a="${"x".repeat(30)}${i}"} 1\n`).join("")}`;
  rig = await startRig({
    envoy: (_request, response) => {
      answer = () => void response.writeHead(200, { "content-type": "text/plain" }).end("of_envoy 1\n");
    },
    // On the socket itself, which is closed when its reader has come to the end.
    applications: [
      ({ socket }) =>
        void socket.end(`HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ${page.length}\r\n\r\n${page}`),
    ],
  });
  const scraped = rig.scrape();
  await eventually("the application is done with it", () => rig?.seen["application0"]?.[0]?.socket.closed === true);
  await eventually("Envoy is asked", () => rig?.seen["envoy"]?.length === 1);
  answer();
  expect((await scraped).body.toString()).toContain(page);
});

test("the last of a page and the word that it was all come in one piece", async () => {
  rig = await startRig({ envoy: "# TYPE of_envoy counter\nof_envoy 1\n" });
  const { port } = rig;
  for (let i = 0; i < 3; i++) {
    const pieces: string[] = [];
    await new Promise<void>((resolve, reject) => {
      const scraper = connect(port, "127.0.0.1");
      scraper.on("error", reject);
      scraper.on("close", () => resolve());
      scraper.on("data", (bytes: Buffer) => pieces.push(bytes.toString("latin1")));
      scraper.write("GET /stats/prometheus HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    });
    expect(pieces.at(-1)).toMatch(/^pilotfish_scrape_source_up\{source="envoy"\} 1$[\s\S]*\r\n0\r\n\r\n$/m);
  }
});
