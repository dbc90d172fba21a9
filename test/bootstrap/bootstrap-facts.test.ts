import { describe, expect, test } from "vitest";
import { bootstrapFacts } from "../../src/bootstrap/bootstrap-facts.ts";
import { merged } from "../../src/bootstrap/proto-json.ts";
import type { JsonObject } from "../../src/config/agent-config.ts";

const ports = { readiness: 15021, prometheus: 15090 };
const facts = (bootstrap: JsonObject) => bootstrapFacts(bootstrap, ports);
const socket = (address: string, port: number) => ({ socket_address: { address, port_value: port } });

describe("facts of a bootstrap", () => {
  test("of nothing", () => {
    expect(facts({})).toEqual({
      admin: undefined,
      adminIsOpen: false,
      clusters: "none",
      listeners: "none",
      usesAds: false,
      secrets: [],
      staticListeners: [],
      hasReadinessListener: false,
      hasPrometheusListener: false,
      stats: { flushOnAdmin: false, flushInterval: undefined, sinks: [], countsConnections: true },
      setsLogFormat: false,
      nodeId: undefined,
      nodeCluster: undefined,
    });
  });

  test.each([
    ["loopback", socket("127.0.0.1", 1), { kind: "tcp", host: "127.0.0.1", port: 1 }, false],
    ["another loopback", socket("127.0.0.9", 1), { kind: "tcp", host: "127.0.0.9", port: 1 }, false],
    ["all of IPv4", socket("0.0.0.0", 1), { kind: "tcp", host: "127.0.0.1", port: 1 }, true],
    ["all of IPv6", socket("::", 1), { kind: "tcp", host: "::1", port: 1 }, true],
    ["one address", socket("10.0.0.1", 1), { kind: "tcp", host: "10.0.0.1", port: 1 }, true],
    ["camel case", { socketAddress: { address: "::1", portValue: 2 } }, { kind: "tcp", host: "::1", port: 2 }, false],
    [
      "a port as text",
      { socket_address: { address: "::1", port_value: "2" } },
      { kind: "tcp", host: "::1", port: 2 },
      false,
    ],
    ["a unix socket", { pipe: { path: "/a.sock" } }, { kind: "pipe", path: "/a.sock" }, false],
  ] as const)("admin on %s", (_title, address, admin, adminIsOpen) => {
    expect(facts({ admin: { address } })).toMatchObject({ admin, adminIsOpen });
  });

  test.each([
    ["ads", { ads: {} }, "ads"],
    ["an aggregated service", { api_config_source: { api_type: "AGGREGATED_DELTA_GRPC" } }, "ads"],
    ["a service of its own", { apiConfigSource: { apiType: "DELTA_GRPC" } }, "grpc"],
    ["polling", { api_config_source: { api_type: "REST" } }, "rest"],
    ["a file", { path: "/lds.yaml" }, "file"],
    ["a watched file", { pathConfigSource: { path: "/lds.yaml" } }, "file"],
    ["nothing said", {}, "none"],
  ] as const)("listeners by %s", (_title, lds_config, listeners) => {
    const found = facts({ dynamic_resources: { lds_config } });
    expect(found).toMatchObject({ listeners, clusters: "none", usesAds: listeners === "ads" });
    expect(facts({ dynamicResources: { cdsConfig: lds_config } })).toMatchObject({
      clusters: listeners,
      listeners: "none",
    });
  });

  test("listeners, with further addresses, without a name, internal", () => {
    const listeners = [
      { name: "health", address: socket("0.0.0.0", 15021) },
      { address: socket("127.0.0.1", 1), additional_addresses: [{ address: socket("::1", 15090) }] },
      { name: "inner", internal_listener: {} },
      { address: { pipe: { path: "/l.sock" } } },
    ];
    expect(facts({ static_resources: { listeners } })).toMatchObject({
      hasReadinessListener: true,
      hasPrometheusListener: true,
      staticListeners: [
        { name: "health", addresses: [{ kind: "tcp", host: "0.0.0.0", port: 15021 }] },
        {
          name: "127.0.0.1_1",
          addresses: [
            { kind: "tcp", host: "127.0.0.1", port: 1 },
            { kind: "tcp", host: "::1", port: 15090 },
          ],
        },
        { name: "/l.sock", addresses: [{ kind: "pipe", path: "/l.sock" }] },
      ],
    });
  });

  test("a readiness port that is turned off is no listener", () => {
    const bootstrap = { static_resources: { listeners: [{ address: socket("0.0.0.0", 0) }] } };
    expect(bootstrapFacts(bootstrap, { readiness: 0, prometheus: 0 }).hasReadinessListener).toBe(false);
  });

  test("secrets that are asked for anywhere, each once; static ones are none", () => {
    const tls = (name: string) => ({ tls_certificate_sds_secret_configs: [{ name, sds_config: { ads: {} } }] });
    const bootstrap = {
      static_resources: { clusters: [{ a: tls("default") }, { b: tls("default") }, { c: [tls("x")] }] },
    };
    expect(facts(bootstrap).secrets).toEqual(["default", "x"]);
    expect(facts({ a: { name: "static" } }).secrets).toEqual([]);
  });

  test("statistics", () => {
    expect(facts({ statsFlushOnAdmin: true }).stats.flushOnAdmin).toBe(true);
    const sinks = { stats_flush_interval: "5s", stats_sinks: [{ name: "a" }, { name: "b" }] };
    expect(facts(sinks).stats).toMatchObject({ flushOnAdmin: false, flushInterval: "5s", sinks: ["a", "b"] });
  });

  test("a field of null is one that is not there", () => {
    expect(facts({ admin: null, dynamic_resources: { lds_config: null } })).toMatchObject({ listeners: "none" });
  });
});

describe("what Envoy has after it merged an override", () => {
  test.each<readonly [string, JsonObject, JsonObject, JsonObject]>([
    ["a value is replaced", { a: 1, b: 2 }, { a: 3 }, { a: 3, b: 2 }],
    ["messages are merged", { m: { a: 1 } }, { m: { b: 2 } }, { m: { a: 1, b: 2 } }],
    ["lists are put behind each other", { l: [1] }, { l: [2] }, { l: [1, 2] }],
    ["both spellings are one field", { stats_sinks: [1] }, { statsSinks: [2] }, { stats_sinks: [1, 2] }],
    [
      "one of a oneof unsets the other",
      { address: { socket_address: {} } },
      { address: { pipe: {} } },
      { address: { pipe: {} } },
    ],
    ["keys of maps keep their spelling", { "x-Header": 1 }, { "@type": "a" }, { "x-Header": 1, "@type": "a" }],
  ])("%s", (_title, base, over, expected) => {
    expect(merged(base, over)).toEqual(expected);
  });
});
