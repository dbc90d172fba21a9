import { describe, expect, test } from "vitest";
import { buildAgentConfig } from "../../src/config/build-agent-config.ts";
import { InvalidConfig } from "../../src/foundation/errors.ts";
import { type ConfigCase, configInput } from "../fakes/agent-config.ts";

/** Every problem that the configuration has, as "name: text". */
function problemsOf(given: ConfigCase): readonly string[] {
  try {
    buildAgentConfig(configInput(given));
  } catch (error) {
    if (error instanceof InvalidConfig) return error.problems.map((one) => `${one.name}: ${one.text}`);
    throw error;
  }
  return [];
}

describe("flags", () => {
  test.each([
    ["--statusPort=no", '--statusPort: "no" can\'t be used; use a whole number from -65535 to 65535'],
    ["--proxyAdminPort=0", '--proxyAdminPort: "0" can\'t be used; use a whole number from 1 to 65535'],
    ["--proxyAdminPort=65536", '--proxyAdminPort: "65536" can\'t be used'],
    ["--concurrency=-1", '--concurrency: "-1" can\'t be used; use a whole number from 0'],
    ["--concurrency=2.5", '--concurrency: "2.5" can\'t be used'],
    ["--drainDuration=45", '--drainDuration: "45" can\'t be used; use a duration above 0 such as 45s, 300ms or 1h30m'],
    ["--drainDuration=0s", '--drainDuration: "0s" can\'t be used'],
    ["--drainDuration=-1s", '--drainDuration: "-1s" can\'t be used'],
    [
      "--parentShutdownDuration=30s",
      "parentShutdownDuration: 30s is not longer than drainDuration 45s; make it longer",
    ],
    ["--connectTimeout=10", '--connectTimeout: "10" can\'t be used'],
    ["--dnsRefreshRate=x", '--dnsRefreshRate: "x" can\'t be used'],
    ["--control-plane-tolerance=5", '--control-plane-tolerance: "5" can\'t be used; use a duration such as 45s or 0'],
    ["--termination-grace=30", '--termination-grace: "30" can\'t be used; use a duration such as 45s or 0'],
    ["--termination-grace=-1s", '--termination-grace: "-1s" can\'t be used'],
    ["--min-drain=-1s", '--min-drain: "-1s" can\'t be used; use a duration such as 45s or 0'],
    [
      "--discoveryAddress=istiod",
      '--discoveryAddress: "istiod" can\'t be used; use host:port, an IPv6 address in brackets',
    ],
    ["--discoveryAddress=::1:15012", '--discoveryAddress: "::1:15012" can\'t be used'],
    ["--zipkinAddress=zipkin:0", '--zipkinAddress: "zipkin:0" can\'t be used'],
    ["--lightstepAddress=x", '--lightstepAddress: "x" can\'t be used'],
    ["--datadogAgentAddress=x", '--datadogAgentAddress: "x" can\'t be used'],
    ["--statsdUdpAddress=x", '--statsdUdpAddress: "x" can\'t be used'],
    ["--lightstepSecure=maybe", '--lightstepSecure: "maybe" can\'t be used; use true or false'],
    ["--controlPlaneAuthPolicy=TLS", '--controlPlaneAuthPolicy: "TLS" can\'t be used; use one of NONE, MUTUAL_TLS'],
    ["--controlPlaneBootstrap=2", '--controlPlaneBootstrap: "2" can\'t be used'],
    ["--envoyMetricsService={", '--envoyMetricsService: "{" is no JSON: '],
    ["--envoyMetricsService=[]", '--envoyMetricsService: "[]" is no object; use {"address":"HOST:PORT"}'],
    ['--envoyAccessLogService={"address":"x"}', '--envoyAccessLogService.address: "x" can\'t be used; use host:port'],
    [
      '--envoyAccessLogService={"address":"x:1","tlsSettings":{"mode":"YES"}}',
      "--envoyAccessLogService.tlsSettings.mode: ",
    ],
    ["--proxyLogLevel=loud", '--proxyLogLevel: "loud" is no level; use one of trace, debug, info, warning'],
    ["--proxyLogLevel=info,misc", '--proxyLogLevel: "misc" is no level'],
    ["--proxyLogLevel=info,misc:loud", '--proxyLogLevel: "misc:loud" can\'t be used; use NAME:LEVEL'],
    ["--log-level=loud", '--log-level: "loud" is no level'],
    ["--proxyComponentLogLevel=misc", '--proxyComponentLogLevel: "misc" can\'t be used'],
    ["--log_output_level=ads:loud", '--log_output_level: "ads:loud" can\'t be used; use SCOPE:LEVEL with debug, info'],
    ["--log_as_json=perhaps", '--log_as_json: "perhaps" can\'t be used'],
    ["--ip=10.0.0", '--ip: "10.0.0" is no address; use one such as 10.0.0.1 or fd00::1'],
    ["--profiling=often", '--profiling: "often" can\'t be used'],
    ["--disableInternalTelemetry=x", '--disableInternalTelemetry: "x" can\'t be used'],
    ["--stsPort=-2", '--stsPort: "-2" can\'t be used'],
    ["--drain-time-s=0", '--drain-time-s: "0" can\'t be used'],
    ["--statusPort=15000", "--statusPort: port 15000 is that of --proxyAdminPort too; use different ports"],
    [
      "--domain=$(POD_NAMESPACE).svc",
      '--domain: "$(POD_NAMESPACE).svc" has an unexpanded $(POD_NAMESPACE); set the variable',
    ],
    ["--domain", "--domain: needs a value; write --domain DOMAIN"],
    ["gateway", 'proxy: "gateway" is no kind of proxy; use sidecar, router, waypoint'],
  ])("%s", (word, problem) => {
    expect(problemsOf({ args: [word] })).toEqual([expect.stringContaining(problem)]);
  });
});

describe("environment", () => {
  test.each([
    ["ENVOY_STATUS_PORT", "0", '"0" can\'t be used; use a port from 1 to 65535'],
    ["ENVOY_PROMETHEUS_PORT", "http", '"http" can\'t be used; use a port from 1 to 65535'],
    ["ENVOY_PROMETHEUS_PORT", "15020", "port 15020 is that of --statusPort too"],
    ["ENVOY_SECURE_METRICS_PORT", "-1", '"-1" can\'t be used; use a port from 1 to 65535, or 0 for off'],
    ["ENVOY_SECURE_MERGED_METRICS_PORT", "70000", '"70000" can\'t be used'],
    ["ENVOY_STATUS_PORT_ENABLE_PROXY_PROTOCOL", "yes", '"yes" can\'t be used; use true or false'],
    ["METRICS_LOCALHOST_ACCESS_ONLY", "on", '"on" can\'t be used; use true or false'],
    ["PILOT_AGENT_MERGE_ENVOY_STATS", "2", '"2" can\'t be used'],
    ["PILOTFISH_CONTROL_PLANE_TOLERANCE", "ever", '"ever" can\'t be used; use a duration such as 45s'],
    ["TERMINATION_GRACE_PERIOD", "30", '"30" can\'t be used; use a duration such as 45s, 300ms or 1h30m'],
    ["TERMINATION_GRACE_PERIOD", "-30s", '"-30s" can\'t be used'],
    ["MINIMUM_DRAIN_DURATION", "5", '"5" can\'t be used; use a duration such as 45s, 300ms or 1h30m'],
    ["ISTIO_CPU_LIMIT", "500m", '"500m" can\'t be used; use a whole number, 0 or more'],
    ["COMPLIANCE_POLICY", "fips", '"fips" can\'t be used; use one of fips-140-2, fips-140-3, pqc'],
    ["CA_ADDR", "istiod", '"istiod" can\'t be used; use host:port, an IPv6 address in brackets'],
    ["CA_PROVIDER", "GoogleCA", '"GoogleCA" is not supported; use Citadel or GkeWorkloadCertificate'],
    ["CREDENTIAL_FETCHER_TYPE", "Mock", '"Mock" is not supported; use JWT'],
    ["ECC_CURVE", "P521", '"P521" can\'t be used; use one of P256, P384'],
    ["WORKLOAD_RSA_KEY_SIZE", "1024", '"1024" can\'t be used; use 2048 to 16384 bits'],
    ["SECRET_GRACE_PERIOD_RATIO", "1.5", '"1.5" can\'t be used; use a number from 0 to 1'],
    ["SECRET_TTL", "0", '"0" can\'t be used; use a duration above 0'],
    ["WORKLOAD_IDENTITY_SOCKET_FILE", "../x", '"../x" is a path; use a file name'],
    [
      "ISTIO_META_DNS_CAPTURE",
      "true",
      '"true" can\'t be used: there is no DNS proxy yet, captured queries would go nowhere',
    ],
    ["ISTIO_META_DNS_CAPTURE", "ja", '"ja" can\'t be used; use true or false'],
    ["ISTIO_PROMETHEUS_ANNOTATIONS", "{", "it can't be read as JSON: "],
    ["ISTIO_PROMETHEUS_ANNOTATIONS", "[]", "it can't be read as JSON: it is no object"],
    ["LOAD_STATS_CONFIG_JSON", "[]", "it is no JSON object; use an object"],
    [
      "ISTIO_META_GLOBAL_DOWNSTREAM_MAX_CONNECTIONS",
      "many",
      '"many" can\'t be used; use a number of connections above 0',
    ],
  ])("%s=%s", (name, value, problem) => {
    expect(problemsOf({ env: { [name]: value } })).toEqual([expect.stringContaining(`${name}: ${problem}`)]);
  });

  const port = "use a port from 1 to 65535";
  const path = "use a path such as /metrics";
  const target = 'use {"port":"8080","path":"/metrics"}';
  test.each([
    ['{"port":"http"}', `.port: "http" can't be used; ${port}`],
    ['{"port":null}', `.port: null can't be used; ${port}`],
    ['{"port":["8080"]}', `.port: ["8080"] can't be used; ${port}`],
    ['{"port":{}}', `.port: {} can't be used; ${port}`],
    ['{"port":true}', `.port: true can't be used; ${port}`],
    ['{"port":8080.5}', `.port: 8080.5 can't be used; ${port}`],
    ['{"port":"8080.0"}', `.port: "8080.0" can't be used; ${port}`],
    ['{"port":0}', `.port: 0 can't be used; ${port}`],
    ['{"port":"65536"}', `.port: "65536" can't be used; ${port}`],
    ['{"port":-1}', `.port: -1 can't be used; ${port}`],
    ['{"path":5}', `.path: 5 can't be used; ${path}`],
    ['{"path":["/m"]}', `.path: ["/m"] can't be used; ${path}`],
    ['{"path":"/m\\u0000"}', `.path: "/m\\u0000" has a control character; ${path}`],
    ['{"path":"m\\r\\nHost: x"}', `.path: "m\\r\\nHost: x" has a control character; ${path}`],
    ['{"path":"/\\u007f"}', `.path: "/\u007f" has a control character; ${path}`],
    ['{"targets":{"port":1}}', `.targets: {"port":1} can't be used; ${target} in a list`],
    ['{"targets":"8080"}', `.targets: "8080" can't be used; ${target} in a list`],
    ['{"targets":[1]}', `.targets[0]: 1 can't be used; ${target}`],
    ['{"targets":[{"port":"1"},[]]}', `.targets[1]: [] can't be used; ${target}`],
    ['{"targets":[{"port":"1"},{"port":"http"}]}', `.targets[1].port: "http" can't be used; ${port}`],
    ['{"targets":[{"path":"a"},{"path":1}]}', `.targets[1].path: 1 can't be used; ${path}`],
  ])("the application's metrics %s", (text, problem) => {
    const found = problemsOf({ env: { ISTIO_PROMETHEUS_ANNOTATIONS: text } });
    expect(found).toEqual([`ISTIO_PROMETHEUS_ANNOTATIONS${problem}`]);
  });

  test("everything that is wrong with the application's metrics", () => {
    const text = '{"targets":[1,2,{"port":null,"path":7}]}';
    expect(problemsOf({ env: { ISTIO_PROMETHEUS_ANNOTATIONS: text } })).toHaveLength(4);
  });

  test("an empty value is as good as none", () => {
    const names = ["ENVOY_STATUS_PORT", "DISABLE_ENVOY", "MINIMUM_DRAIN_DURATION", "CA_PROVIDER", "PROXY_CONFIG"];
    expect(problemsOf({ env: Object.fromEntries(names.map((name) => [name, ""])) })).toEqual([]);
  });
});

describe("structured texts", () => {
  test.each([
    [{ env: { PROXY_CONFIG: "a: [" } }, /^PROXY_CONFIG:1: it can't be read: /],
    [{ env: { PROXY_CONFIG: "concurrency: 1\nconcurrency: 2\n" } }, /^PROXY_CONFIG:\d: it can't be read: .*unique/],
    [{ env: { PROXY_CONFIG: "- a" } }, /^PROXY_CONFIG: it is no object; use fields with values/],
    [
      { env: { PROXY_CONFIG: '{"drainDuration":"soon"}' } },
      /^PROXY_CONFIG\.drainDuration: "soon" can't be used; use a duration/,
    ],
    [
      { env: { PROXY_CONFIG: "statusPort: 99999" } },
      /^PROXY_CONFIG\.statusPort: 99999 can't be used; use a whole number/,
    ],
    [
      { env: { PROXY_CONFIG: "interceptionMode: NAT" } },
      /^PROXY_CONFIG\.interceptionMode: "NAT" can't be used; use one of REDIRECT/,
    ],
    [
      { env: { PROXY_CONFIG: "extraStatTags: a" } },
      /^PROXY_CONFIG\.extraStatTags: "a" can't be used; use a list of texts/,
    ],
    [
      { env: { PROXY_CONFIG: "proxyMetadata: {A: [1]}" } },
      /^PROXY_CONFIG\.proxyMetadata: .*use an object whose values are texts/,
    ],
    [
      { env: { PROXY_CONFIG: "tracing: {zipkin: {address: x}}" } },
      /^PROXY_CONFIG\.tracing\.zipkin\.address: "x" can't be used/,
    ],
    [{ mesh: "a: 1\nb: {\n" }, /^\.\/etc\/istio\/config\/mesh:\d: it can't be read: /],
    [{ mesh: "defaultConfig: 5" }, /^\.\/etc\/istio\/config\/mesh: defaultConfig: it is no object/],
    [
      { mesh: "defaultConfig:\n  configPath: 5" },
      /^\.\/etc\/istio\/config\/mesh: defaultConfig\.configPath: 5 can't be used; use a text/,
    ],
    [{ mesh: "proxyListenPort: -1" }, /^\.\/etc\/istio\/config\/mesh\.proxyListenPort: -1 can't be used/],
    [
      { annotations: { "proxy.istio.io/config": "a: 'b" } },
      /^annotation proxy\.istio\.io\/config:1: it can't be read: /,
    ],
    [
      { annotations: { "proxy.istio.io/config": "concurrency: -3" } },
      /^annotation proxy\.istio\.io\/config\.concurrency: -3 can't be used; use a whole number from 0/,
    ],
    [
      { env: { PROXY_CONFIG: '{"proxyMetadata":{"ISTIO_META_DNS_CAPTURE":"true"}}' } },
      /^ISTIO_META_DNS_CAPTURE: "true" can't be used/,
    ],
  ] as const)("%j", (given, problem) => {
    expect(problemsOf(given)).toEqual([expect.stringMatching(problem)]);
  });
});

describe("arguments for Envoy behind --", () => {
  test.each([
    [["--", "--restart-epoch", "1"], "-- --restart-epoch: pilotfish sets this one itself"],
    [["--", "-c", "x"], "-- -c: pilotfish sets this one itself; use --customConfigFile"],
    [["--", "-ldebug"], "-- -ldebug: pilotfish sets this one itself; use --proxyLogLevel"],
    [["--", "--stats-tag=a:b"], '-- --stats-tag=a:b: Envoy takes no "="'],
    [["--", "--disable-extensions", "a", "--disable-extensions", "b"], "Envoy refuses a flag given twice"],
  ])("%j", (args, problem) => {
    expect(problemsOf({ args })).toEqual([expect.stringContaining(problem)]);
  });

  test("those that are Envoy's own business pass", () => {
    const args = ["--", "--stats-tag", "a:b", "--stats-tag", "c:d", "--enable-mutex-tracing", "--cpuset-threads"];
    expect(problemsOf({ args })).toEqual([]);
  });
});

test("everything that is wrong, from every source, at once", () => {
  const found = problemsOf({
    args: ["--domain=$(X)", "--statusPort=x", "--drainDuration=1", "relay"],
    env: { ENVOY_STATUS_PORT: "x", PROXY_CONFIG: "concurrency: x", ISTIO_META_DNS_CAPTURE: "true" },
    mesh: "defaultConfig: {statNameLength: 0}",
    annotations: { "proxy.istio.io/config": "tracing: 5" },
  });
  expect(found.map((one) => one.split(": ")[0])).toEqual([
    "--domain",
    "proxy",
    "--drainDuration",
    "--statusPort",
    "annotation proxy.istio.io/config.tracing",
    "PROXY_CONFIG.concurrency",
    "./etc/istio/config/mesh",
    "ENVOY_STATUS_PORT",
    "ISTIO_META_DNS_CAPTURE",
  ]);
});
