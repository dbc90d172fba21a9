import { describe, expect, test } from "vitest";
import { createAgentMetrics } from "../../src/metrics/agent-metrics.ts";
import { peerMetrics } from "../../src/metrics/metric-table.ts";
import { type OwnUsage, ownUsage } from "../../src/system/own-usage.ts";

const usage: OwnUsage = {
  cpuSeconds: 1.5,
  openFiles: 12,
  maxFiles: 1024,
  residentBytes: 61_000_000,
  virtualBytes: 1_000_000_000,
  virtualLimitBytes: -1,
  startTimeSeconds: 1_900_000_000.25,
  receivedBytes: undefined,
  sentBytes: 7,
  heapUsedBytes: 1,
  heapTotalBytes: 2,
  externalBytes: 3,
};
const build = { version: "1.2.3", commit: "abc", node: "24" };
const create = () => createAgentMetrics({ usage: () => usage, build });

describe("the agent's own metrics", () => {
  test("what is recorded before the first scrape is on the first page", async () => {
    const metrics = create();
    metrics.count("istio_agent_istiod_connection_terminations", { type: "error" });
    metrics.add("istio_agent_outgoing_latency", 12.5, { request_type: "csr" });
    metrics.set("pilotfish_envoy_epoch", 3);
    metrics.observe("pilotfish_drain_duration_seconds", 0.2);
    const lines = (await metrics.text()).split("\n");
    expect(lines).toContain('istio_agent_istiod_connection_terminations{type="error"} 1');
    expect(lines).toContain('istio_agent_istiod_connection_terminations{type="cancelled"} 0');
    expect(lines).toContain('istio_agent_outgoing_latency{request_type="csr"} 12.5');
    expect(lines).toContain("pilotfish_envoy_epoch 3");
    expect(lines).toContain('pilotfish_drain_duration_seconds_bucket{le="0.25"} 1');
    expect(lines).toContain('pilotfish_build_info{version="1.2.3",commit="abc",node="24"} 1');
  });

  test("each page has what came since the last one, of every kind, whoever added it", async () => {
    const metrics = create();
    let watched = 1;
    metrics.watch("pilotfish_ready", () => (watched < 0 ? [] : [{ labels: {}, value: watched }]));
    const { Gauge } = await import("prom-client");
    const foreign = new Gauge({ name: "somebody_elses", help: "x", registers: [await metrics.registry()] });
    for (let i = 1; i <= 3; i++) {
      metrics.count("pilotfish_drains_total");
      metrics.set("pilotfish_envoy_epoch", i);
      metrics.observe("pilotfish_drain_duration_seconds", 100);
      foreign.set(i);
      watched = i % 2;
      // While it is printed, too.
      const page = metrics.text();
      metrics.count("istio_agent_scrapes_total");
      const lines = (await page).split("\n");
      expect(lines).toContain(`pilotfish_drains_total ${i}`);
      expect(lines).toContain(`pilotfish_envoy_epoch ${i}`);
      expect(lines).toContain(`pilotfish_drain_duration_seconds_count ${i}`);
      expect(lines).toContain(`somebody_elses ${i}`);
      expect(lines).toContain(`pilotfish_ready ${watched}`);
    }
    watched = -1;
    const last = await metrics.text();
    expect(last).toContain("istio_agent_scrapes_total 3\n");
    expect(last).not.toContain("pilotfish_ready");
    expect(last).not.toMatch(/\n\n/);
  });

  test("unlabelled counters of the peer stand at 0 from the start, gauges appear with their first value", async () => {
    const page = await create().text();
    expect(page).toContain("\nistio_agent_xds_proxy_requests 0\n");
    expect(page).not.toContain("pilotfish_envoy_epoch");
    expect(page).not.toContain("istio_agent_startup_duration_seconds");
  });

  test("a watched gauge is asked at each scrape and vanishes with its readings", async () => {
    const metrics = create();
    let names = ["default", "ROOTCA"];
    metrics.watch("istio_agent_cert_expiry_seconds", () =>
      names.map((resource_name) => ({ labels: { resource_name }, value: 60 })),
    );
    expect(await metrics.text()).toContain('istio_agent_cert_expiry_seconds{resource_name="ROOTCA"} 60');
    names = ["default"];
    expect(await metrics.text()).not.toContain("ROOTCA");
    names = [];
    expect(await metrics.text()).not.toContain("istio_agent_cert_expiry_seconds");
  });

  test("a watched gauge whose reader throws costs nobody else", async () => {
    const metrics = create();
    metrics.watch("pilotfish_control_plane_connected", () => {
      throw new Error("a bug");
    });
    const page = await metrics.text();
    expect(page).not.toContain("pilotfish_control_plane_connected");
    expect(page).toContain("\nistio_agent_xds_proxy_requests 0\n");
  });

  test("more updates than are kept waiting load the registry and lose nothing", async () => {
    const metrics = create();
    for (let i = 0; i < 2_000; i++) metrics.count("istio_agent_dns_requests_total");
    expect(await metrics.text()).toContain("\nistio_agent_dns_requests_total 2000\n");
  });

  test("a reading of /proc that failed is left out, the others are there", async () => {
    const page = await create().text();
    expect(page).toContain("\nistio_agent_process_open_fds 12\n");
    expect(page).toContain("\nistio_agent_process_cpu_seconds_total 1.5\n");
    expect(page).not.toContain("istio_agent_process_network_receive_bytes_total");
  });

  test("every name of the peer has its prefix", () => {
    expect(Object.keys(peerMetrics).filter((name) => !name.startsWith("istio_agent_"))).toEqual([]);
  });
});

describe("reading /proc", () => {
  test("what this process uses is plausible", () => {
    const now = ownUsage();
    expect(now.residentBytes).toBeGreaterThan(20e6);
    expect(now.virtualBytes).toBeGreaterThan(now.residentBytes ?? Number.POSITIVE_INFINITY);
    expect(now.openFiles).toBeGreaterThan(2);
    expect(now.maxFiles).toBeGreaterThan(now.openFiles ?? Number.POSITIVE_INFINITY);
    expect(now.cpuSeconds).toBeGreaterThan(0);
    expect(Math.abs((now.startTimeSeconds ?? 0) + process.uptime() - Date.now() / 1000)).toBeLessThan(60);
    expect(now.receivedBytes).toBeGreaterThanOrEqual(0);
  });
});
