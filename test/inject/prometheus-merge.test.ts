import fc from "fast-check";
import { expect, test } from "vitest";
import type { Problem } from "../../src/foundation/errors.ts";
import { mergeMetrics } from "../../src/inject/prometheus-merge.ts";
import { proxyPorts } from "../../src/inject/proxy-ports.ts";
import { agentConfig } from "../fakes/agent-config.ts";

const ports = proxyPorts(
  { status: 15_020, readiness: 15_021, prometheus: 15_090, outbound: 15_001, inbound: 15_006 },
  15_020,
);
const merge = (annotations: Readonly<Record<string, string>>) => {
  const problems: Problem[] = [];
  const facts = { annotations: new Map(Object.entries(annotations)), statusPort: 15_020, proxyPorts: ports };
  return { merged: mergeMetrics(facts, problems, (name) => name), problems };
};

const port = fc.oneof(
  fc.integer({ min: 0, max: 99_999 }).map(String),
  fc.constantFrom("", "08080", "8080", "15090", "http", "null", "8080.0", "+1"),
  fc.string({ maxLength: 6 }),
);
const path = fc.oneof(fc.constantFrom("", "/metrics", "m", "/m?x=1", "/\0", "/\u0085"), fc.string({ unit: "binary" }));
const target = fc.oneof(
  fc.tuple(port, path).map((both) => both.join(":")),
  port,
);
const some = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined });

test("what injection takes does not end the agent's start, and names each target once", () => {
  const annotations = fc.record({
    "prometheus.io/scrape": some(fc.constantFrom("true", "TRUE", "false", "")),
    "prometheus.io/port": some(port),
    "prometheus.io/path": some(path),
    "prometheus.istio.io/scrape-targets": some(fc.array(target, { maxLength: 4 }).map((all) => all.join(","))),
  });
  const run = fc.property(annotations, (all) => {
    const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
    const { merged, problems } = merge(given as Record<string, string>);
    if (problems.length > 0 || merged?.application === undefined) return;
    const config = agentConfig({ env: { ISTIO_PROMETHEUS_ANNOTATIONS: merged.application } });
    const { targets } = config.metrics;
    expect(targets.length).toBeGreaterThan(0);
    expect(targets.filter((one) => ports.has(one.port))).toEqual([]);
    expect(config.notices).toEqual([]);
  });
  fc.assert(run, { numRuns: 1_000 });
});
