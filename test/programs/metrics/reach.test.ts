import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { noLog } from "../../../src/foundation/log.ts";
import { createAgentMetrics } from "../../../src/metrics/agent-metrics.ts";
import { serveMergedMetrics } from "../../../src/metrics/serve-metrics.ts";
import { realClock } from "../../../src/system/clock.ts";
import { ownUsage } from "../../../src/system/own-usage.ts";
import { strictPage } from "../../metrics/strict-page.ts";
import { configWith, scrape, startRig } from "./scrape-rig.ts";

const servers: Server[] = [];
afterEach(async () => {
  for (const one of servers.splice(0)) {
    one.closeAllConnections();
    await new Promise((resolve) => one.close(resolve));
  }
});

function serve(answer: Parameters<typeof createServer>[1], where: object): Promise<number> {
  const server = createServer(answer as never);
  servers.push(server);
  return new Promise((resolve) => server.listen(where, () => resolve((server.address() as AddressInfo)?.port)));
}

const page =
  (text: string): Parameters<typeof createServer>[1] =>
  (_request: unknown, response: { end: (text: string) => void }) =>
    response.end(text);

async function ask(deps: Partial<Parameters<typeof serveMergedMetrics>[0]>): Promise<string> {
  const metrics = createAgentMetrics({ usage: ownUsage, build: { version: "", commit: "", node: "" } });
  const common = { metrics, clock: realClock, log: noLog, envoy: () => undefined, config: configWith([]) };
  const handler = serveMergedMetrics({ ...common, ...deps });
  const port = await serve((q, r) => void handler(q, r), { port: 0, host: "127.0.0.1" });
  return (await scrape(port, {}, "/stats/prometheus")).body.toString();
}

const hasLoopback6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === "::1"));

test.skipIf(!hasLoopback6)(
  `an application that listens on ::1 alone is found ${hasLoopback6 ? "" : "(no ::1 here)"}`,
  async () => {
    const port = await serve(page("six 1\n"), { port: 0, host: "::1" });
    expect(await ask({ config: configWith([{ port, path: "/metrics" }]) })).toContain("\nsix 1\n");
  },
);

test("Envoy's admin on a unix socket is found", async () => {
  const folder = mkdtempSync(join(tmpdir(), "pilotfish-reach-"));
  const socketPath = join(folder, "admin.sock");
  await serve(page("envoy_by_socket 1\n"), { path: socketPath });
  const text = await ask({ envoy: () => ({ to: { socketPath }, path: "/stats/prometheus" }) });
  rmSync(folder, { recursive: true });
  expect(text).toContain("\nenvoy_by_socket 1\n");
});

test("nobody there: said, and the page is there all the same", async () => {
  const port = await serve(page(""), { port: 0, host: "127.0.0.1" });
  await new Promise((resolve) => servers.pop()?.close(resolve));
  const text = await ask({ config: configWith([{ port, path: "/m" }]) });
  expect(text).toContain(`pilotfish_scrape_source_failure{source="application:${port}/m",cause="refused"} 1\n`);
});

describe("ports that are not for scraping", () => {
  test.each([
    [2, "our own status port"],
    [1, "Envoy's admin"],
    [4, "Envoy's statistics"],
    [15_001, "capture"],
    [15_053, "DNS"],
  ])("%i is refused with the reason", async (port, reason) => {
    const said: string[] = [];
    const log = { ...noLog, warn: (_text: string, facts = {}) => void said.push(JSON.stringify(facts)) };
    const text = await ask({ config: configWith([{ port, path: "/" }]), log });
    expect(said).toEqual([expect.stringContaining(reason)]);
    expect(text).not.toContain("application:");
  });
});

describe("what the scraper asks for", () => {
  test.each([
    ["", "text/plain; version=0.0.4; charset=utf-8"],
    ["*/*", "text/plain; version=0.0.4; charset=utf-8"],
    ["application/vnd.google.protobuf;q=0.9,text/plain;q=0.3", "text/plain; version=0.0.4; charset=utf-8"],
    ["application/openmetrics-text; version=0.0.1", "application/openmetrics-text; version=0.0.1; charset=utf-8"],
    [
      // Prometheus 2.42
      "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
      "application/openmetrics-text; version=1.0.0; charset=utf-8",
    ],
    [
      // Prometheus 3
      "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
      "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
    ],
    ["text/plain;version=1.0.0;escaping=dots", "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"],
  ])("Accept: %s", async (accept, type) => {
    const rig = await startRig({ applications: ['# TYPE "a.b" counter\n{"a.b"} 1\n'] });
    try {
      const { headers, body } = await rig.scrape({ accept });
      expect(headers["content-type"]).toBe(type);
      expect(strictPage(body.toString(), type.includes("openmetrics") ? "openmetrics" : "text")).toEqual([]);
      expect(body.toString()).toContain(type.includes("allow-utf-8") ? '{"a.b"} 1' : "\na_b 1\n");
    } finally {
      await rig.done();
    }
  });

  test("zstd", async () => {
    const rig = await startRig({ envoy: "e 1\n" });
    try {
      const { headers, body } = await rig.scrape({ "accept-encoding": "gzip, zstd" });
      expect(headers["content-encoding"]).toBe("zstd");
      expect(zstdDecompressSync(body).toString()).toContain("\ne 1\n");
    } finally {
      await rig.done();
    }
  });
});

test("even our own page may fail without costing the others theirs", async () => {
  const port = await serve(page("other 1\n"), { port: 0, host: "127.0.0.1" });
  const working = createAgentMetrics({ usage: ownUsage, build: { version: "", commit: "", node: "" } });
  const metrics = { ...working, text: () => Promise.reject(new Error("a bug")) };
  const text = await ask({ metrics, config: configWith([{ port, path: "/" }]) });
  expect(text).toContain("other 1\n");
  expect(text).toContain('pilotfish_scrape_source_failure{source="agent",cause="error"} 1\n');
});
