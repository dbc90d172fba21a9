import { describe, expect, test } from "vitest";
import { bootstrapText } from "../../src/bootstrap/bootstrap-text.ts";
import { hostPort, isAddress, isIPv6 } from "../../src/bootstrap/host-port.ts";
import { renderBootstrap } from "../../src/bootstrap/render-bootstrap.ts";
import { runtimeValues } from "../../src/bootstrap/runtime-values.ts";
import type { Json, JsonObject } from "../../src/config/agent-config.ts";
import { configFixture, type Wanted } from "./config-fixture.ts";

describe("host and port", () => {
  test.each([
    ["zipkin.istio-system:9411", { host: "zipkin.istio-system", port: 9411 }],
    ["10.0.0.1:1", { host: "10.0.0.1", port: 1 }],
    ["[fd00::1]:65535", { host: "fd00::1", port: 65_535 }],
    ["zipkin", undefined],
    ["zipkin:", undefined],
    [":80", undefined],
    ["a:0", undefined],
    ["a:65536", undefined],
    ["fd00::1:80", undefined],
    ["http://a:80", undefined],
    ["a b:80", undefined],
    ["", undefined],
  ])("%s", (text, expected) => expect(hostPort(text)).toEqual(expected));

  test.each([
    ["10.0.0.1", true],
    ["255.255.255.255", true],
    ["256.0.0.1", false],
    ["1.2.3", false],
    ["::1", true],
    ["fd00:1::2", true],
    ["::ffff:10.0.0.1", true],
    ["a.b.c", false],
    ["cafe:80", false],
    ["", false],
  ])("%s is an address: %s", (text, expected) => expect(isAddress(text)).toBe(expected));

  test("a name of hexadecimal letters is no address", () => expect(isIPv6("face.bed:1")).toBe(false));
});

describe("runtime values", () => {
  const key = "re2.max_program_size.error_level";
  test.each<readonly [string, readonly (readonly [string, string])[], JsonObject]>([
    ["a default is there", [], { [key]: "32768" }],
    ["a value replaces it", [[key, "100"]], { [key]: "100" }],
    [
      "words become booleans",
      [
        ["a", "true"],
        ["b", "false"],
        ["c", "True"],
      ],
      { a: true, b: false, c: "True" },
    ],
  ])("%s", (_title, given, expected) => expect(runtimeValues(new Map(given))).toMatchObject(expected));

  test("an empty value takes a default away", () =>
    expect(runtimeValues(new Map([[key, ""]]))).not.toHaveProperty([key]));
  test("the connection limit is the overload manager's", () => {
    const limit = "overload.global_downstream_max_connections";
    expect(runtimeValues(new Map([[limit, "7"]]))).not.toHaveProperty([limit]);
  });
});

describe("the text", () => {
  test("has sorted keys, two spaces and an end of line", () => {
    expect(bootstrapText({ b: [1, {}], a: { d: null, c: [] } })).toBe(
      '{\n  "a": {\n    "c": [],\n    "d": null\n  },\n  "b": [\n    1,\n    {}\n  ]\n}\n',
    );
  });
});

const render = async (wanted: Wanted): Promise<JsonObject> =>
  JSON.parse((await renderBootstrap(configFixture(wanted), {})).text) as JsonObject;
const flush = (bootstrap: JsonObject): Json => [
  bootstrap["stats_flush_on_admin"] ?? null,
  bootstrap["stats_flush_interval"] ?? null,
];

describe("when Envoy flushes its statistics", () => {
  const annotations = (value: string) => ({ annotations: new Map([["sidecar.istio.io/statsFlushInterval", value]]) });
  const override = (text: string) =>
    renderBootstrap(configFixture({ bootstrap: { overridePath: "/o" } }), { override: text });

  test.each<readonly [string, Wanted, Json]>([
    ["at each reading", {}, [true, null]],
    ["by an interval that was asked for", { node: annotations("1m30s") }, [null, "90s"]],
    ["by an interval of milliseconds", { node: annotations("1500ms") }, [null, "1.5s"]],
    ["by the timer that a sink needs", { proxy: { statsdUdpAddress: "10.0.0.1:8125" } }, [null, null]],
    ["by the timer, though the sink's host is unknown", { proxy: { statsdUdpAddress: "x:8125" } }, [null, null]],
  ])("%s", async (_title, wanted, expected) => expect(flush(await render(wanted))).toEqual(expected));

  test.each([
    ["a sink", '{"statsSinks":[{"name":"x"}]}', null],
    ["an interval", "stats_flush_interval: 7s", null],
    ["something else", "node: {id: x}", true],
  ])("an override with %s", async (_title, text, expected) => {
    expect((JSON.parse((await override(text)).text) as JsonObject)["stats_flush_on_admin"] ?? null).toBe(expected);
  });
});

describe("addresses by family", () => {
  const v4 = ["10.0.0.1"];
  const v6 = ["fd00::1"];
  test.each<readonly [string, Wanted, readonly string[], string]>([
    ["IPv4", { envoy: { families: "v4" } }, ["127.0.0.1", "0.0.0.0_15090", "0.0.0.0_15021"], "V4_ONLY"],
    ["IPv6", { envoy: { families: "v6" }, node: { ipAddresses: v6 } }, ["::1", "::_15090", "::_15021"], "V6_ONLY"],
    [
      "both, not wanted",
      { envoy: { families: "dual", dualStack: false } },
      ["127.0.0.1", "0.0.0.0_15090", "0.0.0.0_15021"],
      "V4_ONLY",
    ],
    [
      "both, IPv4 first",
      { envoy: { families: "dual", dualStack: true }, node: { ipAddresses: [...v4, ...v6] } },
      ["127.0.0.1", "0.0.0.0_15090", "0.0.0.0_15021"],
      "ALL",
    ],
    [
      "both, IPv6 first",
      { envoy: { families: "dual", dualStack: true }, node: { ipAddresses: [...v6, ...v4] } },
      ["::1", "::_15090", "::_15021"],
      "ALL",
    ],
  ])("%s", async (_title, wanted, expected, lookup) => {
    const proxy = { tracing: { kind: "zipkin", address: "z:1" } } as const;
    const { facts, text } = await renderBootstrap(configFixture({ ...wanted, proxy }), {});
    const admin = facts.admin?.kind === "tcp" ? facts.admin.host : undefined;
    expect([admin, ...facts.staticListeners.map((one) => one.name)]).toEqual(expected);
    expect(text).toContain(`"dns_lookup_family": "${lookup}"`);
  });
});
