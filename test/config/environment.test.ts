import { describe, expect, test } from "vitest";
import { buildAgentConfig } from "../../src/config/build-agent-config.ts";
import { EnvironmentReader } from "../../src/config/environment-reader.ts";
import { environmentGroups, environmentTable } from "../../src/config/environment-table.ts";
import type { Variable } from "../../src/config/environment-variable.ts";
import { Problems } from "../../src/foundation/problems.ts";
import { agentConfig, configInput } from "../fakes/agent-config.ts";

const rows = Object.entries(environmentTable) as readonly (readonly [keyof typeof environmentTable, Variable])[];

describe("the table of variables", () => {
  test("is what the readers ask for, no more and no less", () => {
    const asked = new Set<string>();
    const note = (names: ReadonlySet<string>): void => {
      for (const name of names) asked.add(name);
    };
    buildAgentConfig(configInput({}), note);
    // PROXY_CONFIG is read with the other structured texts.
    expect([...asked, "PROXY_CONFIG"].sort()).toEqual(rows.map(([name]) => name).sort());
  });

  test("every default can be read, and every choice is allowed", () => {
    const problems = new Problems();
    for (const [name, variable] of rows) {
      for (const value of [variable.default, ...(variable.choices ?? [])].filter((one) => one !== undefined)) {
        const env = new EnvironmentReader(new Map([[name, value]]), problems);
        const read = {
          text: () => env.text(name as "POD_NAME"),
          json: () => env.text(name as "PROXY_CONFIG"),
          boolean: () => env.boolean(name as "DISABLE_ENVOY"),
          port: () => env.port(name as "ENVOY_STATUS_PORT"),
          "port-or-off": () => env.portOrOff(name as "ENVOY_SECURE_METRICS_PORT"),
          integer: () => env.integer(name as "ISTIO_CPU_LIMIT"),
          ratio: () => env.ratio(name as "SECRET_GRACE_PERIOD_RATIO"),
          duration: () => env.duration(name as "SECRET_TTL"),
          list: () => env.list(name as "TOKEN_AUDIENCES"),
          choice: () => env.choice(name as "CA_PROVIDER"),
          address: () => env.address(name as "CA_ADDR"),
        };
        expect(read[variable.kind](), name).toBeDefined();
      }
    }
    expect(problems.all).toEqual([]);
  });

  test("no name is in two groups", () => {
    const names = Object.values(environmentGroups).flatMap((group) => Object.keys(group));
    expect(new Set(names).size).toBe(names.length);
  });
});

describe("what the variables do", () => {
  const of = (env: Readonly<Record<string, string>>, args: readonly string[] = []) => agentConfig({ env, args });

  test("defaults of ports, Envoy and stop", () => {
    const config = of({});
    expect(config.ports).toEqual({
      admin: 15_000,
      status: 15_020,
      readiness: 15_021,
      prometheus: 15_090,
      secureMetrics: 0,
      secureMergedMetrics: 0,
    });
    expect(config.stop).toEqual({
      grace: 30_000,
      envoyDrain: 45_000,
      terminationDrain: undefined,
      minDrain: 5_000,
      minimumDrain: 5_000,
      exitOnZeroConnections: false,
    });
    expect(config.envoy).toMatchObject({ disabled: false, skipDeprecatedLogs: true, enableCoreDump: false });
    expect(config.bootstrap).toMatchObject({
      kind: "template",
      path: undefined,
      deltaXds: true,
      istioExtensions: false,
    });
    expect(config.notices).toEqual([]);
  });

  test("Envoy", () => {
    const env = {
      PILOTFISH_ENVOY: "/e",
      DISABLE_ENVOY: "true",
      ENVOY_SKIP_DEPRECATED_LOGS: "false",
      ISTIO_ENVOY_ENABLE_CORE_DUMP: "1",
    };
    const config = of(env, ["--binaryPath=/b"]);
    expect(config.envoy).toMatchObject({
      binaryPath: "/e",
      disabled: true,
      skipDeprecatedLogs: false,
      enableCoreDump: true,
    });
    expect(config.node.metadata).not.toHaveProperty("ENVOY_SKIP_DEPRECATED_LOGS");
  });

  test.each([
    [{}, false],
    [{ ISTIO_META_ISTIO_PROXY_SHA: "abc" }, true],
    [{ ISTIO_META_ISTIO_PROXY_SHA: "abc", PILOTFISH_ENVOY: "/e" }, false],
    [{ PILOTFISH_ISTIO_EXTENSIONS: "true", PILOTFISH_ENVOY: "/e" }, true],
    [{ PILOTFISH_ISTIO_EXTENSIONS: "false", ISTIO_META_ISTIO_PROXY_SHA: "abc" }, false],
  ])("Istio's extensions with %j: %s", (env, expected) => {
    expect(of(env).bootstrap.istioExtensions).toBe(expected);
  });

  test.each([
    [{}, [], { kind: "template", path: undefined }],
    [{}, ["--templateFile=/t"], { kind: "template", path: "/t", controlPlane: false }],
    [{}, ["--templateFile=/t", "--controlPlaneBootstrap"], { kind: "template", path: "/t", controlPlane: true }],
    [{}, ["--controlPlaneBootstrap=true"], { kind: "template", controlPlane: false }],
    [{}, ["-c", "/c", "--templateFile=/t"], { kind: "custom", path: "/c" }],
    [{}, ["--config-path", "/c"], { kind: "custom", path: "/c" }],
    [{ PROXY_CONFIG: "customConfigFile: /p" }, [], { kind: "custom", path: "/p" }],
    [{ ISTIO_BOOTSTRAP: "/i" }, ["-c", "/c"], { kind: "template", path: "/i" }],
    [{ ISTIO_BOOTSTRAP_OVERRIDE: "/o", ISTIO_DELTA_XDS: "false" }, [], { overridePath: "/o", deltaXds: false }],
    [{ ISTIO_DELTA_XDS: "false" }, ["waypoint"], { deltaXds: true }],
    [{ LOAD_STATS_CONFIG_JSON: '{"a":1}' }, [], { loadStatsConfig: { a: 1 } }],
  ] as const)("bootstrap of %j %j", (env, args, expected) => {
    expect(of(env, args).bootstrap).toMatchObject(expected);
  });

  test("the limit of connections: ProxyConfig, metadata, runtime", () => {
    const runtime = "runtimeValues: {overload.global_downstream_max_connections: '1'}";
    const env = { PROXY_CONFIG: runtime };
    expect(of(env).bootstrap.maxConnections).toBe(1);
    const metadata = { ...env, ISTIO_META_GLOBAL_DOWNSTREAM_MAX_CONNECTIONS: "2" };
    expect(of(metadata).bootstrap.maxConnections).toBe(2);
    const settings = `${runtime}\nconnectionSettings: {globalDownstreamMaxConnections: 3}`;
    expect(of({ ...metadata, PROXY_CONFIG: settings }).bootstrap.maxConnections).toBe(3);
  });

  test.each([
    ['{"scrape":"true","path":"/m","port":"8080"}', [{ port: 8_080, path: "/m" }]],
    ['{"scrape":"true"}', [{ port: 80, path: "/metrics" }]],
    ['{"scrape":"false","port":"15090"}', []],
    ['{"port":9000,"path":"m"}', [{ port: 9_000, path: "/m" }]],
    ['{"port":"","path":""}', [{ port: 80, path: "/metrics" }]],
    ['{"port":"8080","path":null,"targets":null}', [{ port: 8_080, path: "/metrics" }]],
    ['{"port":"8080","targets":[]}', [{ port: 8_080, path: "/metrics" }]],
    ['{"targets":[{}]}', [{ port: 80, path: "/metrics" }]],
    // Whoever asks the targets leaves out the proxy's own ports.
    ['{"port":"15090"}', [{ port: 15_090, path: "/metrics" }]],
    [
      '{"targets":[{"port":"1"},{"port":"2","path":"/x"}]}',
      [
        { port: 1, path: "/metrics" },
        { port: 2, path: "/x" },
      ],
    ],
  ])("application's metrics %s", (text, targets) => {
    expect(of({ ISTIO_PROMETHEUS_ANNOTATIONS: text }).metrics.targets).toEqual(targets);
    expect(of({ ISTIO_PROMETHEUS_ANNOTATIONS: text }, ["router"]).metrics.targets).toEqual([]);
  });

  test("a target that is named twice is one, and said so", () => {
    const targets = [
      { port: 8_080, path: "/m" },
      { port: "8080", path: "m" },
      { port: "8080" },
      { port: 8_081, path: "/m" },
      { port: "8080", path: "/metrics" },
    ];
    const config = of({ ISTIO_PROMETHEUS_ANNOTATIONS: JSON.stringify({ targets }) });
    expect(config.metrics.targets).toEqual([
      { port: 8_080, path: "/m" },
      { port: 8_080, path: "/metrics" },
      { port: 8_081, path: "/m" },
    ]);
    expect(config.notices).toEqual([
      "ISTIO_PROMETHEUS_ANNOTATIONS: 8080/m is named more than once; it is scraped once",
      "ISTIO_PROMETHEUS_ANNOTATIONS: 8080/metrics is named more than once; it is scraped once",
    ]);
    expect(of({ ISTIO_PROMETHEUS_ANNOTATIONS: '{"port":"8080"}' }).notices).toEqual([]);
  });

  test("what old mesh files write for nothing is nothing", () => {
    const mesh =
      'defaultConfig: {statsdUdpAddress: "", zipkinAddress: "", customConfigFile: "", tracing: {}, concurrency: null}';
    const config = agentConfig({ mesh });
    expect(config.proxy).toMatchObject({
      statsdUdpAddress: undefined,
      tracing: undefined,
      customConfigFile: undefined,
    });
    expect(config.bootstrap.kind).toBe("template");
    expect(config.notices).toEqual([]);
  });

  test("what injection writes today", () => {
    const proxyConfig = {
      discoveryAddress: "istiod-canary.istio-system.svc:15012",
      tracing: { zipkin: { address: "zipkin.istio-system:9411" }, sampling: 1 },
      proxyMetadata: { ISTIO_META_ENABLE_HBONE: "true" },
      image: { imageType: "distroless" },
      holdApplicationUntilProxyStarts: true,
    };
    const config = of(
      {
        PILOT_CERT_PROVIDER: "istiod",
        CA_ADDR: "istiod-canary.istio-system.svc:15012",
        SERVICE_ACCOUNT: "web",
        HOST_IP: "192.168.0.7",
        ISTIO_CPU_LIMIT: "2",
        PROXY_CONFIG: `${JSON.stringify(proxyConfig)}\n`,
        ISTIO_META_POD_PORTS: "[\n]",
        ISTIO_META_APP_CONTAINERS: "web",
        ISTIO_META_CLUSTER_ID: "Kubernetes",
        ISTIO_META_INTERCEPTION_MODE: "REDIRECT",
        ISTIO_META_MESH_ID: "cluster.local",
        TRUST_DOMAIN: "cluster.local",
      },
      ["sidecar", "--domain", "shop.svc.cluster.local", "--proxyLogLevel=warning", "--log_output_level=default:info"],
    );
    expect(config.notices).toEqual([]);
    expect(config.node.metadata).toMatchObject({
      ENABLE_HBONE: "true",
      INTERCEPTION_MODE: "REDIRECT",
      PILOT_SAN: ["istiod-canary.istio-system.svc"],
      PROXY_CONFIG: { tracing: { sampling: 1 }, image: { imageType: "distroless" }, concurrency: 2 },
    });
    expect(config.envoy.concurrency).toBe(2);
  });

  test("certificates and the connection to the control plane", () => {
    const config = of({
      CA_ADDR: "ca:15012",
      SECRET_TTL: "1h",
      ECC_SIGNATURE_ALGORITHM: "ECDSA",
      ECC_CURVE: "P384",
      TOKEN_AUDIENCES: "a, b",
      CA_HEADER_X_Api: "1",
      XDS_HEADER_B: "2",
      ISTIO_META_CERT_SIGNER: "signer",
      GRPC_KEEPALIVE_INTERVAL: "1m",
    });
    expect(config.identity).toMatchObject({
      caAddress: "ca:15012",
      ttl: 3_600_000,
      key: { kind: "ecdsa", curve: "P384" },
      tokenAudiences: ["a", "b"],
      certSigner: "signer",
      caHeaders: new Map([["x_api", "1"]]),
    });
    expect(config.xds).toMatchObject({ keepaliveInterval: 60_000, headers: new Map([["b", "2"]]) });
    expect(of({}, ["--discoveryAddress=d:1"]).identity.caAddress).toBe("d:1");
  });

  test("what comes later is told once", () => {
    const env = {
      COMPLIANCE_POLICY: "pqc",
      CLOUD_PLATFORM: "gcp",
      GCP_ZONE: "z",
      ISTIO_META_ENABLE_DNS_SERVER: "true",
    };
    expect(of(env).notices).toEqual([
      "COMPLIANCE_POLICY pqc is not enforced yet: TLS is that of the defaults",
      "CLOUD_PLATFORM is not used yet: no platform is asked, locality comes from labels and PILOTFISH_LOCALITY",
      "GCP_ZONE is not used yet: no platform is asked, locality comes from labels and PILOTFISH_LOCALITY",
      "ISTIO_META_ENABLE_DNS_SERVER is not used yet: nothing listens on 15053",
    ]);
    expect(of({ CLOUD_PLATFORM: "none", ISTIO_META_DNS_CAPTURE: "false" }).notices).toEqual([]);
  });

  test("what the peer goes on without is a notice", () => {
    const config = agentConfig({
      annotations: { "status.sidecar.istio.io/port": "x", "sidecar.istio.io/discoveryAddress": "istiod" },
      env: { PROXY_CONFIG: "{drainDuraton: 5s, tracing: {stackdriver: {}}}" },
      args: ["sidecar", "and", "more"],
    });
    expect(config.ports.status).toBe(15_020);
    expect(config.notices).toEqual([
      "PROXY_CONFIG.drainDuraton is no field that an agent knows; it goes to the control plane as it is",
      "PROXY_CONFIG.tracing.stackdriver is ignored: Envoy has no such tracer any more",
      'the words "and", "more" are ignored',
      'annotation status.sidecar.istio.io/port: "x" is no port; it is ignored',
      'annotation sidecar.istio.io/discoveryAddress: "istiod" is not host:port; it is ignored',
    ]);
  });
});
