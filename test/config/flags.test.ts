import { describe, expect, test } from "vitest";
import { proxyOptions } from "../../src/cli/options/proxy-options.ts";
import { parseArguments } from "../../src/cli/parse-arguments.ts";
import { agentConfig } from "../fakes/agent-config.ts";

const of = (...args: readonly string[]) => agentConfig({ args });

/** The command line of the seed, word for word, as the kubelet hands it over: $(POD_NAMESPACE) is expanded by it. */
const seed = `proxy
sidecar
--domain
shop.svc.cluster.local
--configPath
/etc/istio/proxy
--binaryPath
/usr/local/bin/envoy
--serviceCluster
productpage.shop
--drainDuration
45s
--parentShutdownDuration
1m0s
--discoveryAddress
istiod.istio-system.svc:15012
--zipkinAddress
zipkin.istio-system:9411
--proxyLogLevel=warning
--proxyComponentLogLevel=misc:error
--connectTimeout
10s
--proxyAdminPort
15000
--concurrency
2
--controlPlaneAuthPolicy
NONE
--dnsRefreshRate
300s
--statusPort
15020
--trust-domain=cluster.local
--controlPlaneBootstrap=false`.split("\n");

describe("the seed's command line", () => {
  test("is read word for word", () => {
    const config = of(...seed.slice(1));
    expect(config.notices).toEqual([]);
    expect(config).toMatchObject({
      role: "sidecar",
      node: {
        nodeId: "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local",
        cluster: "productpage.shop",
        trustDomain: "cluster.local",
      },
      proxy: { tracing: { kind: "zipkin", address: "zipkin.istio-system:9411" }, controlPlaneAuthPolicy: "NONE" },
      mesh: { connectTimeout: 10_000, dnsRefreshRate: 300_000 },
      ports: { admin: 15_000, status: 15_020 },
      envoy: {
        binaryPath: "/usr/local/bin/envoy",
        concurrency: 2,
        logLevel: "warning",
        componentLogLevel: "misc:error",
        drainTime: 45_000,
        parentShutdownTime: 60_000,
      },
      bootstrap: { kind: "template", directory: "/etc/istio/proxy", controlPlane: false },
    });
  });

  test("the hand-written sidecar, its first two words glued", () => {
    const config = of("-c /etc/envoy/envoy.yaml", "--service-cluster grpc-service", "--service-node grpc-service");
    expect(config.bootstrap).toMatchObject({ kind: "custom", path: "/etc/envoy/envoy.yaml" });
    expect(config.node).toMatchObject({ cluster: "grpc-service", nodeId: "grpc-service" });
  });
});

describe("every flag of pilot-agent is known", () => {
  const today =
    "domain meshConfig stsPort tokenManagerPlugin serviceCluster proxyLogLevel proxyComponentLogLevel concurrency " +
    "templateFile outlierLogPath profiling log_as_json log_output_level log_caller log_stacktrace_level log_target vklog";
  const of15 =
    "serviceregistry ip id domain trust-domain pilotIdentity mixerIdentity statusPort stsPort tokenManagerPlugin configPath " +
    "binaryPath serviceCluster drainDuration parentShutdownDuration discoveryAddress zipkinAddress lightstepAddress " +
    "lightstepAccessToken lightstepSecure lightstepCacertPath datadogAgentAddress connectTimeout statsdUdpAddress " +
    "envoyMetricsService envoyAccessLogService proxyAdminPort controlPlaneAuthPolicy customConfigFile proxyLogLevel " +
    "proxyComponentLogLevel dnsRefreshRate concurrency templateFile disableInternalTelemetry controlPlaneBootstrap outlierLogPath";
  test.each([...new Set(`${today} ${of15}`.split(" "))])("--%s", (name) => {
    expect(parseArguments([`--${name}=x`], proxyOptions).flags).toMatchObject({ unknown: [], problems: [] });
  });

  test("defaults of the table are the configuration's", () => {
    const given = proxyOptions
      .filter((one) => one.default !== undefined && !/\$/.test(one.default) && !["min-drain"].includes(one.name))
      .map((one) => `--${one.name}=${one.default}`);
    const [said, unsaid] = [of(...given), of()];
    expect({ ...said, notices: [] }).toEqual({ ...unsaid, log: said.log, notices: [] });
    expect(of("--min-drain=5s").stop).toEqual(unsaid.stop);
  });
});

describe("log levels", () => {
  test.each([
    [[], "warning", undefined],
    [["--proxyLogLevel=info,misc:error,upstream:debug"], "info", "misc:error,upstream:debug"],
    [["--proxyLogLevel=misc:error"], "warning", "misc:error"],
    [["--proxyLogLevel=debug", "--proxyComponentLogLevel=misc:error"], "debug", "misc:error"],
    [["--proxyLogLevel=debug,a:off", "--proxyComponentLogLevel=misc:error"], "debug", "a:off"],
    [["-l", "trace", "--component-log-level", "misc:error"], "trace", "misc:error"],
    [["-l", "trace", "--proxyLogLevel=off"], "off", undefined],
  ])("Envoy's with %j", (args, logLevel, componentLogLevel) => {
    expect(of(...args).envoy).toMatchObject({ logLevel, componentLogLevel });
  });

  test("ours by scope", () => {
    const { log } = of("--log_as_json", "--log_output_level=error,ads:debug, all:fatal");
    expect(log).toEqual({
      json: true,
      levels: new Map([
        ["default", "error"],
        ["ads", "debug"],
        ["all", "error"],
      ]),
    });
  });
});

describe("tracers", () => {
  test.each([
    [["--zipkinAddress=z:1"], { kind: "zipkin", address: "z:1" }],
    [["--datadogAgentAddress=d:1", "--zipkinAddress=z:1"], { kind: "datadog", address: "d:1" }],
    [
      ["--lightstepAddress=l:1", "--lightstepAccessToken=t", "--lightstepSecure", "--lightstepCacertPath=/ca"],
      { kind: "opentelemetry", address: "l:1", accessToken: "t", secure: true, caCertificatePath: "/ca" },
    ],
  ])("%j", (args, tracing) => {
    expect(of(...args).proxy.tracing).toEqual(tracing);
  });
});

test("services of JSON flags, and the control plane hears of them", () => {
  const json =
    '{"address":"als:1","tlsSettings":{"mode":"MUTUAL","caCertificates":"/ca"},"tcpKeepalive":{"time":"10s","probes":3}}';
  const { proxy } = of(`--envoyAccessLogService=${json}`, '--envoyMetricsService={"address":"ms:2"}');
  expect(proxy.envoyAccessLogService).toMatchObject({
    address: "als:1",
    tls: { mode: "MUTUAL", caCertificates: "/ca", subjectAltNames: [] },
    tcpKeepalive: { timeSeconds: 10, probes: 3 },
  });
  expect(proxy.envoyMetricsService).toEqual({ address: "ms:2", tls: undefined, tcpKeepalive: undefined });
  expect(proxy.raw).toMatchObject({ envoyAccessLogService: { tcpKeepalive: { time: "10s", probes: 3 } } });
});

test("a negative or zero status port turns the server off", () => {
  expect(of("--statusPort=-1").ports.status).toBeUndefined();
  expect(of("--statusPort", "0").ports.status).toBeUndefined();
});

test("a drain longer than the default moves the parent's end too", () => {
  expect(of("--drainDuration=10m").envoy).toMatchObject({ drainTime: 600_000, parentShutdownTime: 615_000 });
  expect(of("--drain-time-s=90").envoy).toMatchObject({ drainTime: 90_000, parentShutdownTime: 105_000 });
});

test("fractions of a second are rounded for Envoy, with a notice", () => {
  const config = of("--drainDuration=1500ms");
  expect(config.envoy.drainTime).toBe(2_000);
  expect(config.notices).toEqual(["drainDuration 1.500s becomes 2s: Envoy counts in whole seconds"]);
});
