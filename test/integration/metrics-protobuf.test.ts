import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type App, startApp } from "../helpers/app.ts";
import { eventually } from "../helpers/eventually.ts";
import { previousEnvoy } from "../helpers/paths.ts";
import { ask, drawPorts, type Ports, type ProxyRun, staticProxy } from "../helpers/proxy.ts";
import { strictPage } from "../metrics/strict-page.ts";

let ports: Ports;
let app: App;
let proxy: ProxyRun;

async function start(env: Record<string, string> = {}): Promise<void> {
  proxy = staticProxy(ports, { env });
  await eventually("ready", async () => (await ask({ port: ports.status }, "/healthz/ready")).status === 200);
  // Some numbers beside zero, in histograms as well.
  for (let i = 0; i < 20; i++) await ask({ port: ports.listener }, "/");
  // The first request through a listener makes series of its own.
  await ask({ port: ports.prometheus }, "/stats/prometheus");
}

beforeEach(async () => {
  ports = await drawPorts();
  app = await startApp(ports.app);
});
afterEach(async () => {
  await proxy.done();
  await app.close();
});

/** The lines of Envoy's families. */
const envoyLines = (page: string): readonly string[] =>
  page.split("\n").filter((line) => /^(# TYPE )?envoy_/.test(line));
const seriesOf = (lines: readonly string[]): readonly string[] =>
  lines.map((line) => (line.startsWith("#") ? line : line.replace(/ [^ ]*$/, ""))).toSorted();
const bytesOf = (page: string): number =>
  Number(/^pilotfish_scrape_source_bytes\{source="envoy"\} (\d+)$/m.exec(page)?.[1]);

describe("Envoy's page", () => {
  test("comes as protobuf and says the same as its text page, series by series", async () => {
    await start();
    await eventually("Envoy has put its histograms together", async () => {
      const { body } = await ask({ port: ports.prometheus }, "/stats/prometheus");
      return /^envoy_cluster_upstream_rq_time_count\{envoy_cluster_name="app"\} 20$/m.test(body);
    });
    const merged = (await ask({ port: ports.status }, "/stats/prometheus")).body;
    const text = (await ask({ port: ports.prometheus }, "/stats/prometheus")).body;
    // A third of the bytes: it was not text that came.
    expect(bytesOf(merged)).toBeLessThan(text.length * 0.7);
    expect(strictPage(merged, "text")).toEqual([]);
    expect(seriesOf(envoyLines(merged))).toEqual(seriesOf(envoyLines(text)));
    // Of what nobody touches between the two pages the values are the same, too.
    const still = (page: string): readonly string[] =>
      envoyLines(page)
        .filter((line) => /_rq_time|_cx_length_ms|_runtime_|_total\{envoy_cluster_name/.test(line))
        .toSorted();
    const numbers = still(text).filter((line) => !line.startsWith("#") && !line.endsWith(" 0"));
    expect(numbers.filter((line) => line.includes("_bucket")).length).toBeGreaterThan(5);
    expect(numbers.filter((line) => still(merged).includes(line)).length / numbers.length).toBeGreaterThan(0.9);
  });

  test("is asked for as text where its protobuf would say something else, and with its filters", async () => {
    await start();
    const summaries = (await ask({ port: ports.status }, "/stats/prometheus?histogram_buckets=summary")).body;
    expect(summaries).toMatch(/^envoy_\S+\{.*quantile="0\.5"\} /m);
    expect(strictPage(summaries, "text")).toEqual([]);
    const used = (await ask({ port: ports.status }, "/stats/prometheus?usedonly&filter=server")).body;
    expect(used).toContain("envoy_server_live");
    expect(used).not.toContain("envoy_cluster_manager");
  });

  test("of an Envoy of the release before is read as well", async () => {
    await start({ PILOTFISH_ENVOY: previousEnvoy });
    const merged = (await ask({ port: ports.status }, "/stats/prometheus")).body;
    const text = (await ask({ port: ports.prometheus }, "/stats/prometheus")).body;
    expect(strictPage(merged, "text")).toEqual([]);
    expect(seriesOf(envoyLines(merged))).toEqual(seriesOf(envoyLines(text)));
  });
});
