import { afterEach, describe, expect, test } from "vitest";
import type { Log } from "../../src/foundation/log.ts";
import type { EnvoySnapshot } from "../../src/process/envoy-snapshot.ts";
import { LifecycleEvents, recorded } from "../../src/status/lifecycle-events.ts";
import { postMortem, TERMINATION_MESSAGE_LIMIT } from "../../src/status/post-mortem.ts";
import { duration, type StatusDocument, shown, statusJson } from "../../src/status/status-document.ts";
import { statusHtml } from "../../src/status/status-html.ts";
import { envoySection, processSection, readinessSection } from "../../src/status/status-sections.ts";
import { statusText } from "../../src/status/status-text.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { ask, type Fixture, startStatus } from "./status-fixture.ts";

const snapshot: EnvoySnapshot = {
  state: "draining",
  epoch: 1,
  pid: 42,
  since: 9_000,
  reason: "draining: SIGTERM",
  processes: [
    { epoch: 1, pid: 42, state: "draining", startedAt: 1_000, liveAt: 1_140 },
    { epoch: 0, pid: undefined, state: "leaving", startedAt: 0, liveAt: undefined },
  ],
};

const verdict = {
  ready: false,
  reason: "envoy: draining: SIGTERM",
  contributors: [
    { name: "envoy", ready: false, text: "draining: SIGTERM" },
    { name: "certificate", ready: true, text: "for 11 h" },
    { name: "lds", ready: true, text: "" },
  ],
};

const facts = {
  version: "0.1.0",
  commit: "abc",
  nodeId: "sidecar~10.0.0.1~a.b~b.svc.cluster.local",
  upMs: 65_000,
  residentBytes: 57_300_000,
  heapBytes: 9_100_000,
  memoryLimitBytes: 60_000_000,
  openFiles: 31,
  maxFiles: 1_024,
};

const document = (): StatusDocument => [
  readinessSection(verdict),
  envoySection(snapshot, 10_000),
  processSection(facts),
];

describe("values", () => {
  test.each([
    [0, "0 ms"],
    [999.6, "1.0 s"],
    [1_000, "1.0 s"],
    [59_999, "59.9 s"],
    [60_000, "1 min 0 s"],
    [3_599_999, "59 min 59 s"],
    [3_600_000, "1 h 0 min"],
    [86_400_000 * 3 + 3_600_000, "3 d 1 h"],
    [-1_500, "-1.5 s"],
  ])("%d ms is %s", (ms, text) => {
    expect(duration(ms)).toBe(text);
  });

  test.each([
    [undefined, undefined, "not known"],
    [true, undefined, "yes"],
    [false, undefined, "no"],
    ["", undefined, "-"],
    [12, undefined, "12"],
    [12, "bytes", "12 B"],
    [57_300_000, "bytes", "57.3 MB"],
    [2_000, "bytes", "2.0 kB"],
    [3e9, "bytes", "3.0 GB"],
    [1_500, "ms", "1.5 s"],
  ] as const)("%s %s is %s", (value, unit, text) => {
    expect(shown(value, unit)).toBe(text);
  });
});

describe("three forms of one document", () => {
  test("text", () => {
    expect(statusText(document(), { colour: false })).toBe(`Readiness
! ready   no
  reason  envoy: draining: SIGTERM
  part         says
! envoy        draining: SIGTERM
+ certificate  for 11 h
+ lds          ready

Envoy
~ state    draining
  because  draining: SIGTERM
  for      1.0 s
  epoch    1
  process  42
  epoch  process    state     age     live after
  1      42         draining  9.0 s   140 ms
  0      not known  leaving   10.0 s  not known

pilotfish
  version     0.1.0 (abc)
  node        sidecar~10.0.0.1~a.b~b.svc.cluster.local
  up          1 min 5 s
! memory      57.3 MB
  of it heap  9.1 MB
  limit       60.0 MB
  open files  31
  at most     1024
`);
  });

  test("text in colour says nothing more", () => {
    const coloured = statusText(document(), { colour: true });
    expect(coloured).toContain("\u001b[31m! ready   no\u001b[0m");
    expect(coloured.replaceAll(new RegExp(`${"\u001b"}\\[\\d+m`, "g"), "")).toBe(
      statusText(document(), { colour: false }),
    );
  });

  test("JSON", () => {
    expect(statusJson(document())).toMatchObject({
      readiness: {
        ready: false,
        reason: "envoy: draining: SIGTERM",
        rows: [{ name: "envoy", text: "draining: SIGTERM" }, {}, {}],
      },
      envoy: {
        state: "draining",
        sinceMs: 1_000,
        epoch: 1,
        pid: 42,
        rows: [
          { epoch: 1, tookMs: 140 },
          { pid: null, tookMs: null },
        ],
      },
      pilotfish: { residentBytes: 57_300_000, maxFiles: 1_024 },
    });
  });

  test("HTML: whole, without a script, nothing of a value becomes markup", () => {
    const evil = "<script>alert(1)</script>\"'&";
    const page = statusHtml(
      [
        {
          key: "x",
          title: evil,
          facts: [{ key: "a", label: evil, value: evil, mood: "bad" }],
          table: { columns: [{ key: "b", label: evil }], rows: [{ cells: [evil] }], empty: evil },
        },
      ],
      { title: evil, at: new Date(0), refresh: 5 },
    );
    expect(page).toMatch(/^<!doctype html>\n<html lang="en">/);
    expect(page).toContain('<meta http-equiv="refresh" content="5">');
    expect(page).not.toMatch(/<script|alert\(1\)<\/script/);
    expect(page.split("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;")).toHaveLength(8);
    expect(page).toContain('<dd class="bad">');
    for (const tag of ["html", "head", "body", "main", "section", "dl", "table", "thead", "tbody", "tr"]) {
      expect([tag, page.split(`<${tag}`).length]).toEqual([
        tag,
        page.split(`</${tag}>`).length + (tag === "head" ? page.split("<header").length - 1 : 0),
      ]);
    }
  });

  test("control characters of what others said do not reach the terminal", () => {
    const text = statusText([{ key: "x", title: "X", facts: [{ key: "a", label: "a", value: "one\n\u001b[2Jtwo" }] }], {
      colour: false,
    });
    expect(text).toBe("X\n  a  one [2Jtwo\n");
  });
});

describe("events", () => {
  test("the last fifty, newest first, with their age", () => {
    const clock = new FakeClock();
    const events = new LifecycleEvents(clock);
    expect(statusText([events.section()], { colour: false })).toBe("Last events\n  nothing has happened yet\n");
    for (let one = 0; one < 60; one++) {
      events.add("envoy", `event ${one}`, one === 59);
      clock.advance(1_000);
    }
    expect(events.all).toHaveLength(50);
    expect(events.all[0]?.text).toBe("event 10");
    const rows = events.section().table?.rows ?? [];
    expect(rows[0]).toEqual({ cells: [1_000, "envoy", "event 59", "2030-01-01T00:00:59.000Z"], mood: "bad" });
    events.add("envoy", "x".repeat(10_000));
    expect(events.all.at(-1)?.text).toHaveLength(500);
  });
});

describe("recorded log", () => {
  test("every line but those for who debugs is an event, and goes on to the log", () => {
    const lines: string[] = [];
    const keep = (level: string, scope: string) => (text: string) => void lines.push(`${scope} ${level} ${text}`);
    const logOf = (scope: string): Log => ({
      debug: keep("debug", scope),
      info: keep("info", scope),
      warn: keep("warn", scope),
      error: keep("error", scope),
      scoped: logOf,
    });
    const events = new LifecycleEvents(new FakeClock());
    const log = recorded(logOf("default"), events);
    log.info("Started");
    log.scoped("envoy").warn("Envoy ended", { exit: { code: 1 }, error: new Error("boom"), nothing: undefined });
    log.scoped("envoy").debug("Asked");
    log.error("Stopped", { reason: "SIGTERM" });
    expect(lines).toEqual([
      "default info Started",
      "envoy warn Envoy ended",
      "envoy debug Asked",
      "default error Stopped",
    ]);
    expect(events.all.map(({ part, text, bad }) => [part, text, bad])).toEqual([
      ["default", "Started", false],
      ["envoy", 'Envoy ended (exit {"code":1}, error boom, nothing nothing)', true],
      ["default", "Stopped (reason SIGTERM)", true],
    ]);
  });
});

describe("post-mortem", () => {
  const clock = new FakeClock();
  const events = new LifecycleEvents(clock);
  events.add("envoy", "Envoy is live");
  clock.advance(5_000);
  events.add("envoy", "Envoy was killed by SIGKILL\nfake line", true);
  const ending = { reason: "Envoy was killed by the kernel: out of memory", exitCode: 1, upMs: 65_000 };

  test("the reason first, then the events, newest first, then the page", () => {
    const text = postMortem(ending, events.all, document(), TERMINATION_MESSAGE_LIMIT);
    expect(text.split("\n").slice(0, 6)).toEqual([
      "Envoy was killed by the kernel: out of memory (exit code 1, after 1 min 5 s)",
      "",
      "! 2030-01-01T00:00:05.000Z envoy: Envoy was killed by SIGKILL fake line",
      "  2030-01-01T00:00:00.000Z envoy: Envoy is live",
      "",
      "Readiness",
    ]);
    expect(text.endsWith("at most     1024\n")).toBe(true);
  });

  test("many events leave room for the page", () => {
    const many = new LifecycleEvents(clock);
    for (let one = 0; one < 50; one++) many.add("envoy", `${one} ${"x".repeat(400)}`);
    const text = postMortem(ending, many.all, document(), TERMINATION_MESSAGE_LIMIT);
    expect(text).toContain("49 xxx");
    expect(text.endsWith("at most     1024\n")).toBe(true);
  });

  test.each([4_096, 300, 100, 78, 77, 20, 5, 0])(
    "never more than %d bytes, whole lines, the reason at least",
    (limit) => {
      const text = postMortem({ ...ending, reason: `ü ${ending.reason}` }, events.all, document(), limit);
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(limit);
      expect("ü Envoy was killed by the kernel: out of memory (exit code 1".startsWith(text.slice(0, 20))).toBe(true);
      expect(text).not.toContain("\ufffd");
    },
  );
});

describe("/status", () => {
  let status: Fixture;
  afterEach(() => status.server.close());

  const start = async () => {
    status = await startStatus({ page: { title: "pilotfish a.b", sections: () => [envoySection(snapshot, 10_000)] } });
    return (headers: Readonly<Record<string, string>> = {}, query = "", localAddress = "127.0.0.1") =>
      ask({ port: status.port, path: `/status${query}`, headers, localAddress });
  };

  test("text for curl, HTML for a browser, JSON when asked for", async () => {
    const get = await start();
    const browser = { accept: "text/html,application/xhtml+xml,*/*;q=0.8", "sec-fetch-site": "none" };
    const text = await get({ accept: "*/*" });
    expect(text.body).toMatch(/^Readiness\n\+ ready {2}yes\n(.*\n)*\nEnvoy\n~ state {4}draining\n/);
    const html = await get(browser);
    expect(html.headers["content-type"]).toBe("text/html; charset=utf-8");
    expect(html.headers["content-security-policy"]).toMatch(/^default-src 'none'/);
    expect(html.body).toContain("<h1>pilotfish a.b</h1>");
    expect(html.body).toContain('content="5"');
    expect((await get(browser, "?refresh=0")).body).not.toContain("http-equiv");
    expect((await get(browser, "?refresh=x")).body).toContain('content="5"');
    expect((await get(browser, "?format=text")).body).toBe(text.body);
    expect((await get({}, "?format=html")).body).toContain("<!doctype html>");
    expect(Object.keys(JSON.parse((await get({}, "?format=json")).body) as object)).toEqual(["readiness", "envoy"]);
  });

  test("for this pod only, and not for other web pages", async () => {
    const get = await start();
    expect((await get({}, "", "127.0.0.6")).status).toBe(403);
    expect((await get({ "sec-fetch-site": "cross-site" })).status).toBe(403);
    expect((await get({ host: "rebound.example", "sec-fetch-site": "none" })).status).toBe(403);
  });

  test("without a page there is none", async () => {
    status = await startStatus();
    expect((await ask({ port: status.port, path: "/status" })).status).toBe(404);
  });
});
