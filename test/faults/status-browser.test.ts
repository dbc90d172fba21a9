import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type App, startApp } from "../helpers/app.ts";
import { Browser, browserProgram, coloursOf } from "../helpers/browser.ts";
import { eventually } from "../helpers/eventually.ts";
import { ask, drawPorts, type Ports, type ProxyRun, staticProxy } from "../helpers/proxy.ts";

/* The status page in a real browser, of a real proxy with a real Envoy. */

const program = browserProgram();
const desktop = { width: 1_280, height: 1_100 };

describe("the status page", { skip: program === undefined && process.geteuid?.() !== 0 }, () => {
  let [ports, app, proxy, browser]: [Ports, App, ProxyRun, Browser] = [] as never;

  beforeEach(async () => {
    ports = await drawPorts();
    app = await startApp(ports.app);
    proxy = staticProxy(ports);
    browser = await Browser.start(program ?? "chromium");
    await eventually("ready", async () => (await ask({ port: ports.readiness }, "/healthz/ready")).status === 200);
    await ask({ port: ports.status }, "/stats/prometheus");
  });
  afterEach(async () => {
    await browser.done();
    await proxy.done();
    await app.close();
  });

  const url = (): string => `http://127.0.0.1:${ports.status}/status`;
  const texts = (selector: string): Promise<string[]> =>
    browser.evaluate(`[...document.querySelectorAll(${JSON.stringify(selector)})].map((one) => one.innerText)`);

  test("says what it should, asks for nothing else, and nothing goes wrong in it", async () => {
    await browser.open(url(), desktop);
    expect(await browser.evaluate("document.title")).toMatch(/^pilotfish /);
    expect(await texts("h1")).toEqual([await browser.evaluate("document.title")]);
    expect(await texts("section > h2")).toEqual(expect.arrayContaining(["Readiness", "Envoy", "Last events"]));
    for (const key of ["readiness", "envoy", "pilotfish", "stop", "scrapes", "events"])
      expect(await browser.evaluate(`document.getElementById(${JSON.stringify(key)})?.tagName`), key).toBe("SECTION");
    expect(await texts("#envoy dd.good")).toEqual(["live"]);
    expect((await texts("#scrapes tbody tr")).map((row) => row.split("\t")[0])).toEqual(["agent", "envoy"]);
    expect((await texts("#events tbody tr")).join("\n")).toContain("Envoy is live");
    expect(await browser.evaluate("document.scripts.length")).toBe(0);
    expect(await browser.evaluate("document.compatMode")).toBe("CSS1Compat");
    expect(browser.seen.requests.filter((one) => !one.startsWith("about:"))).toEqual([url()]);
    expect(browser.seen.errors).toEqual([]);
  });

  test("a drain shows at its next look, in words and as a sign", async () => {
    await browser.open(`${url()}?refresh=1`, desktop);
    await ask({ port: ports.status }, "/drain", { method: "POST" });
    await eventually("the page has looked again", async () => (await texts("#envoy dd.waiting")).includes("draining"));
    expect(await texts("#readiness dd.bad")).toEqual(["no"]);
    const sign = `getComputedStyle(document.querySelector("#envoy dd.waiting"), "::before").content`;
    expect(await browser.evaluate(sign)).toContain("\u2026");
  });

  test.each([
    ["by day", { ...desktop, dark: false }],
    ["by night", { ...desktop, dark: true }],
    ["on a phone", { width: 390, height: 844 }],
  ])("%s: something is to be seen, and nothing is wider than the window", async (_title, viewport) => {
    await browser.open(url(), viewport);
    const colours = [...coloursOf(await browser.screenshot())].toSorted(([, left], [, right]) => right - left);
    const pixels = viewport.width * viewport.height;
    const [background = 0, of = pixels] = colours[0] ?? [];
    // Text has many shades of its colour, and covers some hundredths of a page.
    expect(colours.length).toBeGreaterThan(50);
    expect(1 - of / pixels).toBeGreaterThan(0.02);
    expect(background < 0x808080).toBe("dark" in viewport && viewport.dark);
    expect(await browser.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(viewport.width);
  });
});
