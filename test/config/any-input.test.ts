import fc from "fast-check";
import { expect, test } from "vitest";
import { proxyOptions } from "../../src/cli/options/proxy-options.ts";
import { buildAgentConfig } from "../../src/config/build-agent-config.ts";
import { environmentTable } from "../../src/config/environment-table.ts";
import { InvalidConfig } from "../../src/foundation/errors.ts";
import { type ConfigCase, configInput } from "../fakes/agent-config.ts";

/** Whatever comes in: a configuration, or InvalidConfig whose problems have a name and a remedy. Never a crash. */

const fieldNames = [
  ..."tracing zipkin address datadog lightstep accessToken secure tlsSettings mode tcpKeepalive probes time".split(" "),
  ..."drainDuration statusPort concurrency proxyMetadata runtimeValues extraStatTags proxyStatsMatcher".split(" "),
  ..."inclusionPrefixes envoyAccessLogService connectionSettings serviceCluster tracingServiceName".split(" "),
  ..."ISTIO_META_X overload.global_downstream_max_connections defaultConfig status_port __proto__".split(" "),
];
const scalar = fc.oneof(
  fc.constantFrom("", "0", "-1", "1s", "45", "true", "a:1", "[::1]:2", "NONE", "$(X)", "999999999999999999999"),
  fc.string(),
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
);
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    scalar,
    fc.array(tie("tree"), { maxLength: 3 }),
    fc.dictionary(fc.oneof(fc.constantFrom(...fieldNames), fc.string({ maxLength: 5 })), tie("tree"), { maxKeys: 4 }),
  ),
}));
const structured = fc.oneof(
  tree.map((value) => JSON.stringify(value)),
  fc.string(),
  fc.constantFrom("a: &x [*x]", "a: !!binary x", "? [a]: b", "2001-01-01: 2", "a: 1:30", "<<: {a: 1}", "a: .nan"),
);
const word = fc.oneof(
  fc.constantFrom(...proxyOptions.map((one) => `--${one.name}`), "sidecar", "router", "--", "-c", "-l", "-cx", "-h"),
  fc
    .tuple(fc.constantFrom(...proxyOptions.map((one) => one.name)), scalar)
    .map(([name, value]) => `--${name}=${value}`),
  scalar.map(String),
);
const env = fc.dictionary(
  fc.oneof(
    fc.constantFrom(
      ...Object.keys(environmentTable),
      "ISTIO_META_X",
      "ISTIO_METAJSON_LABELS",
      "CA_HEADER_",
      "XDS_HEADER_A",
    ),
    fc.string({ maxLength: 4 }),
  ),
  fc.oneof(scalar.map(String), structured),
  { maxKeys: 6 },
);
const texts = fc.dictionary(
  fc.constantFrom("proxy.istio.io/config", "status.sidecar.istio.io/port", "istio-locality", "app", "x"),
  fc.oneof(structured, scalar.map(String)),
);

const input: fc.Arbitrary<ConfigCase> = fc.record(
  { args: fc.array(word, { maxLength: 8 }), env, mesh: structured, labels: texts, annotations: texts },
  { requiredKeys: [] },
);

test("any input gives a configuration or named problems", () => {
  fc.assert(
    fc.property(input, (given) => {
      try {
        const config = buildAgentConfig(configInput(given));
        // What is built can be written as JSON, and has no prototype that a key smuggled in.
        expect(JSON.parse(JSON.stringify(config.node.metadata))).toEqual(config.node.metadata);
        expect(Object.getPrototypeOf(config.node.metadata)).toBe(Object.prototype);
        expect(config.node.ipAddresses.length).toBeGreaterThan(0);
        expect(config.envoy.drainTime).toBeGreaterThanOrEqual(1_000);
      } catch (error) {
        if (!(error instanceof InvalidConfig)) throw error;
        expect(error.problems.length).toBeGreaterThan(0);
        for (const problem of error.problems) expect(problem.name === "" || problem.text === "").toBe(false);
      }
    }),
    { numRuns: 1_500 },
  );
});
