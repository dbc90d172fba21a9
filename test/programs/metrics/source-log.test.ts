import type { ServerResponse } from "node:http";
import { afterEach, expect, test } from "vitest";
import { type Rig, startRig } from "./scrape-rig.ts";

let rig: Rig | undefined;
afterEach(async () => {
  await rig?.done();
  rig = undefined;
});

const ways = {
  good: (response: ServerResponse) => response.end("good 1\n"),
  says503: (response: ServerResponse) => response.writeHead(503).end(),
  says500: (response: ServerResponse) => response.writeHead(500).end(),
  json: (response: ServerResponse) => response.writeHead(200, { "content-type": "application/json" }).end("{}"),
  hangsUp: (response: ServerResponse) => response.destroy(),
  endless: (response: ServerResponse) => response.end("x".repeat(200_000)),
} as const;
type Way = keyof typeof ways;

/** What is said of each source when it goes through these ways, one for each scrape. */
async function said(...sources: readonly (readonly Way[])[]): Promise<readonly (readonly unknown[])[]> {
  let turn = 0;
  const applications = sources.map((steps) => (_request: unknown, response: ServerResponse) => {
    const step = steps[turn];
    if (step !== undefined) ways[step](response);
  });
  rig = await startRig({ applications });
  const names: string[] = [];
  for (; turn < (sources[0]?.length ?? 0); turn++) {
    const { body } = await rig.scrape();
    for (const [, name = ""] of body.toString().matchAll(/^pilotfish_scrape_source_up\{source="(application[^"]*)"/gm))
      if (!names.includes(name)) names.push(name);
  }
  const lines = rig.lines.filter(({ level }) => level !== "debug");
  return lines.map(({ level, facts }) => [names.indexOf(String(facts["source"])), level, facts["cause"]]);
}

test("a source that always works, or fails in the same way all the time, is worth no line, or one", async () => {
  const log = await said(["good", "good", "good"], ["json", "json", "json"]);
  expect(log).toEqual([[1, "warn", "content_type"]]);
});

test("a line when it begins to fail, when the cause is another one, when it is back, and none in between", async () => {
  const log = await said([
    ...(["good", "says503", "says503", "says500", "json", "json", "says503", "says503"] as const),
    ...(["good", "good", "hangsUp", "hangsUp", "endless", "endless", "good", "hangsUp"] as const),
  ]);
  expect(log).toEqual([
    // Also when it says another number: the cause is what an alert goes by.
    [0, "warn", "status"],
    [0, "warn", "content_type"],
    [0, "warn", "status"],
    [0, "info", undefined],
    [0, "warn", "truncated"],
    [0, "warn", "long_line"],
    [0, "info", undefined],
    [0, "warn", "truncated"],
  ]);
});

test("each source has a state of its own", async () => {
  const log = await said(
    ["says503", "says503", "good", "good", "good"],
    ["good", "says503", "says503", "says503", "good"],
    ["json", "good", "json", "good", "json"],
  );
  expect(log).toEqual([
    [0, "warn", "status"],
    [2, "warn", "content_type"],
    [1, "warn", "status"],
    [2, "info", undefined],
    [0, "info", undefined],
    [2, "warn", "content_type"],
    [2, "info", undefined],
    [1, "info", undefined],
    [2, "warn", "content_type"],
  ]);
});

test("a line says which source it is and why, in words", async () => {
  await said(["says503", "good"]);
  const source = expect.stringMatching(/^application:\d+\/metrics$/) as unknown;
  expect(rig?.lines).toEqual([
    {
      level: "warn",
      text: "A source of the merged metrics is not wholly on the page",
      facts: { source, cause: "status", why: "it answered 503" },
    },
    { level: "info", text: "A source of the merged metrics is back", facts: { source } },
  ]);
});
