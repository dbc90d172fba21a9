import { describe, expect, test } from "vitest";
import type { AgentConfig } from "../../src/config/agent-config.ts";
import { agentConfig, type ConfigCase } from "../fakes/agent-config.ts";

/** A field, how each source says it, and what must come out when that source is the strongest. */
interface Field {
  readonly name: string;
  readonly of: (config: AgentConfig) => unknown;
  readonly flag?: readonly [word: string, value: unknown];
  /** A single annotation. */
  readonly pod?: readonly [annotation: string, text: string, value: unknown];
  /** The ProxyConfig field in the annotation, PROXY_CONFIG and the mesh file, with three different values. */
  readonly sources?: readonly [name: string, values: readonly (readonly [json: unknown, value: unknown])[]];
  readonly builtIn: unknown;
}

const fields: readonly Field[] = [
  {
    name: "configPath",
    of: (c) => [c.proxy.configPath, c.bootstrap.directory],
    flag: ["--configPath=/f", ["/f", "/f"]],
    sources: [
      "configPath",
      [
        ["/a", ["/a", "/a"]],
        ["/e", ["/e", "/e"]],
        ["/m", ["/m", "/m"]],
      ],
    ],
    builtIn: ["./etc/istio/proxy", "./etc/istio/proxy"],
  },
  {
    name: "binaryPath",
    of: (c) => c.envoy.binaryPath,
    flag: ["--binaryPath=/f", "/f"],
    sources: [
      "binaryPath",
      [
        ["/a", "/a"],
        ["/e", "/e"],
        ["/m", "/m"],
      ],
    ],
    builtIn: "/usr/local/bin/envoy",
  },
  {
    name: "discoveryAddress",
    of: (c) => c.proxy.discoveryAddress,
    flag: ["--discoveryAddress=f:1", "f:1"],
    pod: ["sidecar.istio.io/discoveryAddress", "p:1", "p:1"],
    sources: [
      "discoveryAddress",
      [
        ["a:1", "a:1"],
        ["e:1", "e:1"],
        ["m:1", "m:1"],
      ],
    ],
    builtIn: "istiod.istio-system.svc:15012",
  },
  {
    name: "statusPort",
    of: (c) => c.ports.status,
    flag: ["--statusPort=1", 1],
    pod: ["status.sidecar.istio.io/port", "2", 2],
    sources: [
      "statusPort",
      [
        [3, 3],
        [4, 4],
        [5, 5],
      ],
    ],
    builtIn: 15_020,
  },
  {
    name: "proxyAdminPort",
    of: (c) => c.ports.admin,
    flag: ["--proxyAdminPort=1", 1],
    sources: [
      "proxyAdminPort",
      [
        [3, 3],
        [4, 4],
        [5, 5],
      ],
    ],
    builtIn: 15_000,
  },
  {
    name: "concurrency",
    of: (c) => c.envoy.concurrency,
    flag: ["--concurrency=1", 1],
    sources: [
      "concurrency",
      [
        [3, 3],
        [4, 4],
        [5, 5],
      ],
    ],
    builtIn: undefined,
  },
  {
    name: "drainDuration",
    of: (c) => c.envoy.drainTime,
    flag: ["--drainDuration=1s", 1_000],
    sources: [
      "drainDuration",
      [
        ["3s", 3_000],
        ["4s", 4_000],
        ["5s", 5_000],
      ],
    ],
    builtIn: 45_000,
  },
  {
    name: "terminationDrainDuration",
    of: (c) => c.stop.terminationDrain,
    sources: [
      "terminationDrainDuration",
      [
        ["3s", 3_000],
        ["4s", 4_000],
        ["6s", 6_000],
      ],
    ],
    builtIn: undefined,
  },
  {
    name: "serviceCluster",
    of: (c) => c.node.cluster,
    flag: ["--serviceCluster=f", "f"],
    sources: [
      "serviceCluster",
      [
        ["a", "a"],
        ["e", "e"],
        ["m", "m"],
      ],
    ],
    builtIn: "istio-proxy.shop",
  },
  {
    name: "tracing",
    of: (c) => c.proxy.tracing,
    flag: ["--zipkinAddress=f:1", { kind: "zipkin", address: "f:1" }],
    sources: [
      "tracing",
      [
        [{ datadog: { address: "a:1" } }, { kind: "datadog", address: "a:1" }],
        [{ zipkin: { address: "e:1" } }, { kind: "zipkin", address: "e:1" }],
        [{ zipkin: { address: "m:1" } }, { kind: "zipkin", address: "m:1" }],
      ],
    ],
    builtIn: undefined,
  },
  {
    name: "extraStatTags (lists are replaced)",
    of: (c) => c.proxy.extraStatTags,
    sources: [
      "extraStatTags",
      [
        [["a"], ["a"]],
        [["e"], ["e"]],
        [["m"], ["m"]],
      ],
    ],
    builtIn: [],
  },
  {
    name: "controlPlaneAuthPolicy",
    of: (c) => c.proxy.controlPlaneAuthPolicy,
    flag: ["--controlPlaneAuthPolicy=NONE", "NONE"],
    sources: [
      "controlPlaneAuthPolicy",
      [
        ["NONE", "NONE"],
        ["MUTUAL_TLS", "MUTUAL_TLS"],
        [0, "NONE"],
      ],
    ],
    builtIn: "MUTUAL_TLS",
  },
];

/** The case with the `depth` weakest sources left: flag, single annotation, annotation, PROXY_CONFIG, mesh file. */
function caseWith(field: Field, first: number): ConfigCase {
  const [name, values] = field.sources ?? ["", []];
  const json = (index: number): string | undefined =>
    name !== "" && first <= index + 2 ? JSON.stringify({ [name]: values[index]?.[0] }) : undefined;
  const [annotation, env, mesh] = [json(0), json(1), json(2)];
  const pod = first <= 1 ? field.pod : undefined;
  return {
    args: first === 0 && field.flag ? [field.flag[0]] : [],
    annotations: {
      ...(annotation === undefined ? {} : { "proxy.istio.io/config": annotation }),
      ...(pod === undefined ? {} : { [pod[0]]: pod[1] }),
    },
    env: env === undefined ? {} : { PROXY_CONFIG: env },
    ...(mesh === undefined ? {} : { mesh: `{"defaultConfig":${mesh}}` }),
  };
}

const rows = fields.flatMap((field) => {
  const [, values = []] = field.sources ?? [];
  const expected: readonly (readonly [string, unknown] | undefined)[] = [
    field.flag && ["flag", field.flag[1]],
    field.pod && ["single annotation", field.pod[2]],
    values[0] && ["annotation", values[0][1]],
    values[1] && ["PROXY_CONFIG", values[1][1]],
    values[2] && ["mesh file", values[2][1]],
    ["built-in", field.builtIn],
  ];
  return expected.flatMap((one, first) => (one ? [{ field, first, source: one[0], value: one[1] }] : []));
});

describe("precedence", () => {
  test.each(rows)("$field.name: the $source wins over all below it", ({ field, first, value }) => {
    expect(field.of(agentConfig(caseWith(field, first)))).toEqual(value);
  });

  test("trust domain: flag, environment, mesh file, built-in", () => {
    const trust = (given: ConfigCase) => agentConfig(given).node.trustDomain;
    const [env, mesh] = [{ TRUST_DOMAIN: "env" }, "trustDomain: mesh"];
    expect(trust({ args: ["--trust-domain", "flag"], env, mesh })).toBe("flag");
    expect(trust({ env, mesh })).toBe("env");
    expect(trust({ mesh })).toBe("mesh");
    expect(trust({})).toBe("cluster.local");
  });

  test("the CPU limit counts only when nothing sets the threads", () => {
    const threads = (given: ConfigCase) => agentConfig(given).envoy.concurrency;
    const env = { ISTIO_CPU_LIMIT: "3" };
    expect(threads({ env })).toBe(3);
    expect(threads({ env, args: ["--concurrency", "0"] })).toBe(3);
    expect(threads({ env, args: ["--concurrency", "2"] })).toBe(2);
    expect(threads({ env: { ...env, PROXY_CONFIG: "concurrency: 4" } })).toBe(4);
    expect(threads({ env: { ...env, PROXY_CONFIG: "concurrency: 0" } })).toBeUndefined();
    expect(threads({ env: { ISTIO_CPU_LIMIT: "0" } })).toBeUndefined();
  });

  test("maps are joined name by name, the stronger source first", () => {
    const config = agentConfig({
      mesh: "defaultConfig: {proxyMetadata: {A: mesh, B: mesh}, runtimeValues: {x: '1'}}",
      env: { PROXY_CONFIG: "proxyMetadata: {B: env, C: env}" },
      annotations: { "proxy.istio.io/config": "proxyMetadata: {C: annotation}" },
    });
    expect(Object.fromEntries(config.proxy.proxyMetadata)).toEqual({ A: "mesh", B: "env", C: "annotation" });
    expect(Object.fromEntries(config.proxy.runtimeValues)).toEqual({ x: "1" });
  });

  test("serviceCluster and tracingServiceName are one choice of the strongest source", () => {
    const mesh = "defaultConfig: {serviceCluster: mesh-name}";
    const env = { PROXY_CONFIG: "tracingServiceName: CANONICAL_NAME_ONLY" };
    const config = agentConfig({ mesh, env, labels: { app: "web" } });
    expect(config.node.cluster).toBe("web");
    expect(config.proxy.raw).toMatchObject({ tracingServiceName: "CANONICAL_NAME_ONLY" });
    expect(config.proxy.raw).not.toHaveProperty("serviceCluster");
    expect(agentConfig({ mesh, env, args: ["--serviceCluster", "f"] }).node.cluster).toBe("f");
  });

  test("old variable for the drain is weaker than any ProxyConfig", () => {
    const env = { TERMINATION_DRAIN_DURATION_SECONDS: "9" };
    expect(agentConfig({ env }).stop.terminationDrain).toBe(9_000);
    expect(agentConfig({ env, mesh: "defaultConfig: {terminationDrainDuration: 3s}" }).stop.terminationDrain).toBe(
      3_000,
    );
  });

  test("mesh settings: flag, mesh file, built-in", () => {
    const mesh = "connectTimeout: 3s\ndnsRefreshRate: 7s\nproxyListenPort: 9001\nenablePrometheusMerge: false\n";
    expect(agentConfig({ mesh }).mesh).toMatchObject({
      connectTimeout: 3_000,
      dnsRefreshRate: 7_000,
      proxyListenPort: 9_001,
      proxyInboundListenPort: 15_006,
      enablePrometheusMerge: false,
    });
    const flags = ["--connectTimeout", "1s", "--dnsRefreshRate=300s"];
    expect(agentConfig({ mesh, args: flags }).mesh).toMatchObject({ connectTimeout: 1_000, dnsRefreshRate: 300_000 });
  });
});
