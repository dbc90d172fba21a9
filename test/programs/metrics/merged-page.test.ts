import { gunzipSync } from "node:zlib";
import { afterEach, expect, test } from "vitest";
import { type Answer, type Rig, startRig } from "./scrape-rig.ts";

let rig: Rig | undefined;
afterEach(async () => {
  await rig?.done();
  rig = undefined;
});
const start = async (parts: { envoy?: Answer; applications?: readonly Answer[] }): Promise<Rig> => {
  rig = await startRig(parts);
  return rig;
};

test("agent, Envoy and application stand on one page", async () => {
  const { scrape } = await start({
    envoy: '# TYPE envoy_a counter\nenvoy_a{x="1"} 5\n',
    applications: ["# TYPE app_b gauge\napp_b 7"],
  });
  const { status, body, headers } = await scrape();
  expect(status).toBe(200);
  expect(headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
  const lines = body.toString().split("\n");
  expect(lines).toContain('envoy_a{x="1"} 5');
  expect(lines).toContain("app_b 7");
  expect(lines).toContain("istio_agent_xds_proxy_requests 0");
});

test("query and the scraper's timeout are passed on", async () => {
  const { scrape, seen } = await start({ envoy: "envoy_a 1\n", applications: ["app_b 1\n"] });
  await scrape({ "x-prometheus-scrape-timeout-seconds": "3" }, "/stats/prometheus?usedonly&filter=x");
  expect(seen["envoy"]?.[0]?.url).toBe("/stats/prometheus?usedonly&filter=x");
  expect(seen["application0"]?.[0]?.url).toBe("/metrics");
  expect(Number(seen["application0"]?.[0]?.headers["x-prometheus-scrape-timeout-seconds"])).toBeGreaterThan(0);
});

test("gzip when asked", async () => {
  const { scrape } = await start({ envoy: "envoy_a 1\n" });
  const { body, headers } = await scrape({ "accept-encoding": "gzip, deflate" });
  expect(headers["content-encoding"]).toBe("gzip");
  expect(gunzipSync(body).toString()).toContain("\nenvoy_a 1\n");
});

test("a source that fails never fails the scrape, and is counted", async () => {
  const { scrape, metrics } = await start({
    envoy: (_request, response) => {
      response.writeHead(503);
      response.end("no");
    },
    applications: [(_request, response) => response.destroy(), "app_c 1\n"],
  });
  const { status, body, complete } = await scrape();
  expect([status, complete]).toEqual([200, true]);
  expect(body.toString()).toContain("\napp_c 1\n");
  const own = await metrics.text();
  expect(own).toContain('istio_agent_scrape_failures_total{type="envoy"} 1');
  expect(own).toContain('istio_agent_scrape_failures_total{type="application"} 1');
});
