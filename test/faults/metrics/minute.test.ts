import { expect, test } from "vitest";
import { startApp } from "../../helpers/app.ts";
import { eventually } from "../../helpers/eventually.ts";
import { ask, drawPorts, staticProxy } from "../../helpers/proxy.ts";
import { withoutPrometheus } from "../../programs/metrics/judges.ts";
import { startPrometheus } from "../../programs/metrics/prometheus-server.ts";

const SCRAPES = 60;

test.skipIf(withoutPrometheus !== undefined)(
  `a real Prometheus scrapes a real run under load for a minute ${withoutPrometheus ?? ""}`,
  async () => {
    const ports = await drawPorts();
    const app = await startApp(ports.app);
    const scrape = JSON.stringify({ scrape: "true", port: String(ports.app), path: "/metrics" });
    const proxy = staticProxy(ports, { env: { ISTIO_PROMETHEUS_ANNOTATIONS: scrape } });
    let stop = false;
    let sent = 0;
    try {
      await eventually("ready", async () => (await ask({ port: ports.status }, "/healthz/ready")).status === 200);
      const server = await startPrometheus({
        target: `127.0.0.1:${ports.status}`,
        rules: ["alerts.yaml", "recording-rules.yaml"],
      });
      const load = (async () => {
        while (!stop) {
          expect((await ask({ port: ports.listener }, "/")).status).toBe(200);
          sent++;
        }
      })();
      try {
        await eventually(
          "a minute of scrapes",
          async () => (await server.value("count_over_time(up[5m])")) >= SCRAPES,
          120_000,
        );
        stop = true;
        await load;
        expect(await server.value("min_over_time(up[5m])")).toBe(1);
        expect(await server.value("min(min_over_time(pilotfish_scrape_source_up[5m]))")).toBe(1);
        expect(await server.value("sum(count_over_time(pilotfish_scrape_source_failure[5m])) or vector(0)")).toBe(0);
        // Every scrape has brought as many samples as the page says it has, the report on the sources included.
        const report =
          'count by (job) ({__name__=~"pilotfish_scrape_source_(up|duration_seconds|bytes|samples|families)|pilotfish_scrape_(source_dropped_samples|dropped_family_samples)", job="pod"})';
        const difference = `sum by (job) (pilotfish_scrape_source_samples) + ${report} - sum by (job) (scrape_samples_scraped)`;
        await eventually("the counts agree", async () => (await server.query(difference)).result[0]?.value[1] === "0");
        const counted = "max_over_time(sum(app_requests_total)[2m:1s])";
        await eventually("the application's counter has arrived", async () => (await server.value(counted)) >= sent);
        expect(server.output()).not.toMatch(/out.of.order|[Dd]uplicate|level=(warn|error)/);
      } finally {
        stop = true;
        await load;
        await server.done();
      }
    } finally {
      await proxy.done();
      await app.close();
    }
  },
);
