import { afterEach, beforeEach, expect, test } from "vitest";
import { type App, startApp } from "../helpers/app.ts";
import { eventually } from "../helpers/eventually.ts";
import { ask, drawPorts, type Ports, type ProxyRun, staticProxy } from "../helpers/proxy.ts";
import { strictPage } from "../metrics/strict-page.ts";

let ports: Ports;
let app: App;
let proxy: ProxyRun;

beforeEach(async () => {
  ports = await drawPorts();
  app = await startApp(ports.app);
});
afterEach(async () => {
  await proxy.done();
  await app.close();
});

const pageWith = async (annotations: object): Promise<string> => {
  proxy = staticProxy(ports, { env: { ISTIO_PROMETHEUS_ANNOTATIONS: JSON.stringify(annotations) } });
  const page = () => ask({ port: ports.status }, "/stats/prometheus");
  await eventually("ready", async () => (await ask({ port: ports.status }, "/healthz/ready")).status === 200);
  const { body } = await page();
  expect(strictPage(body, "text")).toEqual([]);
  return body;
};
const sources = (page: string): readonly string[] =>
  [...page.matchAll(/^pilotfish_scrape_source_up\{source="(.*)"\} 1$/gm)].map(([, name = ""]) => name);

test("the proxy's own ports are left out with a word each, and the other targets go on", async () => {
  const { status, admin, readiness, prometheus } = ports;
  const own = [status, admin, readiness, prometheus, 15_001, 15_006, 15_004, 15_008, 15_053];
  const page = await pageWith({ targets: [...own.map((port) => ({ port })), { port: ports.app }] });
  expect(sources(page)).toEqual(["agent", "envoy", `application:${ports.app}/metrics`]);
  expect(page).toMatch(/^app_requests_total /m);
  for (const port of own) {
    const line = new RegExp(`warn.*is not scraped.*${port}/metrics.*why="?port ${port} is [a-zA-Z]`, "g");
    expect([port, proxy.output.match(line)?.length]).toEqual([port, 1]);
  }
});

test("the one target being such a port ends no start either", async () => {
  const page = await pageWith({ scrape: "true", port: String(ports.prometheus), path: "/stats/prometheus" });
  expect(sources(page)).toEqual(["agent", "envoy"]);
});

test("a target that is named twice is on the page once, and the log says so", async () => {
  const page = await pageWith({
    targets: [
      { port: ports.app, path: "/metrics" },
      { port: String(ports.app), path: "metrics" },
    ],
  });
  expect(sources(page)).toEqual(["agent", "envoy", `application:${ports.app}/metrics`]);
  expect(proxy.output).toContain(`${ports.app}/metrics is named more than once; it is scraped once`);
});
