import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type App, startApp } from "../helpers/app.ts";
import { eventually } from "../helpers/eventually.ts";
import { ask, drawPorts, type Ports, type ProxyRun, staticProxy } from "../helpers/proxy.ts";
import { strictPage } from "../metrics/strict-page.ts";
import { openMetricsVerdicts, promtoolError, withoutPrometheus } from "../programs/metrics/judges.ts";
import { startPrometheus } from "../programs/metrics/prometheus-server.ts";

let ports: Ports;
let app: App;
let proxy: ProxyRun;

beforeEach(async () => {
  ports = await drawPorts();
  app = await startApp(ports.app);
  const scrape = JSON.stringify({ scrape: "true", port: String(ports.app), path: "/metrics" });
  proxy = staticProxy(ports, { env: { ISTIO_PROMETHEUS_ANNOTATIONS: scrape } });
  await eventually("ready", async () => (await ask({ port: ports.status }, "/healthz/ready")).status === 200);
});
afterEach(async () => {
  await proxy.done();
  await app.close();
});

const page = (headers: Record<string, string> = {}, query = ""): ReturnType<typeof ask> =>
  ask({ port: ports.status }, `/stats/prometheus${query}`, { headers });

describe("a real run", () => {
  test("its page passes the strict readers in both forms", async () => {
    const text = await page();
    expect(text.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(strictPage(text.body, "text")).toEqual([]);
    if (withoutPrometheus === undefined) expect(await promtoolError(text.body)).toBeUndefined();
    const open = await page({ accept: "application/openmetrics-text;version=1.0.0,text/plain;q=0.5" });
    expect(open.headers["content-type"]).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
    expect(strictPage(open.body, "openmetrics")).toEqual([]);
    const [verdict] = await openMetricsVerdicts([open.body]);
    expect(verdict?.error).toBeUndefined();
    for (const name of ["envoy_server_live", "app_requests_total", "istio_agent_scrapes_total"])
      expect(verdict?.series?.filter((one) => one.startsWith(name)).length).toBeGreaterThan(0);
  });

  test("the query reaches Envoy", async () => {
    const all = await page();
    const used = await page({}, "?usedonly&filter=server");
    expect(used.body).toContain("envoy_server_live");
    expect(used.body).not.toContain("envoy_cluster_manager");
    expect(all.body).toContain("envoy_cluster_manager");
  });

  test("/metrics is ours alone", async () => {
    const own = await ask({ port: ports.status }, "/metrics");
    expect(strictPage(own.body, "text")).toEqual([]);
    expect(own.body).not.toMatch(/^(envoy|app)_/m);
    expect(own.body).toMatch(/^pilotfish_build_info\{/m);
  });

  test.skipIf(withoutPrometheus !== undefined)(
    `a real Prometheus scrapes it without a word of complaint ${withoutPrometheus ?? ""}`,
    async () => {
      const server = await startPrometheus({
        target: `127.0.0.1:${ports.status}`,
        rules: ["alerts.yaml", "recording-rules.yaml"],
      });
      try {
        await eventually("fifteen scrapes", async () => (await server.value("count_over_time(up[5m])")) >= 15, 90_000);
        expect(await server.value("min_over_time(up[5m])")).toBe(1);
        // Every sample of the page is either a source's, which the page counts, or of the report on the sources.
        const counted =
          'sum(pilotfish_scrape_source_samples) + count({__name__=~"pilotfish_scrape_(source|dropped)_.*", source!="", job="pod"} unless {__name__=~"pilotfish_scrape_source_failures_total"})';
        await eventually("the counts agree", async () => {
          const difference = `${counted} - on() sum(scrape_samples_scraped)`;
          return (await server.query(difference)).result[0]?.value[1] === "0";
        });
        expect(await server.value("min(pilotfish_scrape_source_up)")).toBe(1);
        expect(server.output()).not.toMatch(/out.of.order|[Dd]uplicate|level=(warn|error)/);
      } finally {
        await server.done();
      }
    },
  );
});
