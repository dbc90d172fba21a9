import { Problems } from "../foundation/problems.ts";
import type { AgentConfig, MeshSettings, Ports, Role } from "./agent-config.ts";
import { readBootstrapSource } from "./bootstrap-source.ts";
import { type ConfigInput, podInfo, type StructuredSources, structuredSources } from "./config-sources.ts";
import { EnvironmentReader } from "./environment-reader.ts";
import { readEnvoySettings } from "./envoy-settings.ts";
import { checkExtraArguments } from "./extra-arguments.ts";
import { readFlagLayer } from "./flag-layer.ts";
import { FlagReader } from "./flag-reader.ts";
import { readHotRestart } from "./hot-restart-settings.ts";
import { readIdentitySettings, readXdsSettings } from "./identity-settings.ts";
import { readLogSettings } from "./log-settings.ts";
import { readMetricsSettings } from "./metrics-settings.ts";
import { nodeAddresses } from "./node-addresses.ts";
import { readNodeIdentity } from "./node-identity.ts";
import { environmentMetadata } from "./node-metadata.ts";
import { readNotYet } from "./not-yet.ts";
import { Notices } from "./notices.ts";
import { ObjectReader } from "./object-reader.ts";
import { judgeProxyConfig, type MergedProxy, mergeProxyConfig, type ProxySources } from "./proxy-config.ts";
import { type ProxyLayer, readProxyLayer } from "./proxy-layer.ts";
import { rawProxyConfig } from "./raw-proxy-config.ts";
import { readStopSettings } from "./stop-settings.ts";
import { addressFamily, firstSet, parseHostPort, parseInteger } from "./units.ts";

/** What every reader gets: the sources, and where to put what is wrong or remarkable. */
interface Reading {
  readonly input: ConfigInput;
  readonly flags: FlagReader;
  readonly env: EnvironmentReader;
  readonly labels: ReadonlyMap<string, string>;
  readonly annotations: ReadonlyMap<string, string>;
  readonly texts: StructuredSources;
  readonly problems: Problems;
  readonly notices: Notices;
}

/** Which variables were read, for the test that holds them against the table. */
export type Asked = (names: ReadonlySet<string>) => void;

/**
 * The whole configuration from text and values (pure). Throws InvalidConfig with every problem of every source; what
 * is accepted with a remark is in `notices`.
 */
export function buildAgentConfig(input: ConfigInput, asked?: Asked): AgentConfig {
  const reading = startReading(input);
  const { flags, env, problems, notices } = reading;
  const role = readRole(reading);
  const mesh = readMesh(reading);
  const proxy = readProxy(reading);
  const ports = readPorts(reading, proxy);
  const addresses = readAddresses(reading);
  const metadata = environmentMetadata(env, proxy.proxyMetadata, notices);
  const certSigner = metadata.fields["CERT_SIGNER"];
  const signer = typeof certSigner === "string" && certSigner !== "" ? certSigner : undefined;
  const identity = readIdentitySettings(env, proxy.discoveryAddress, signer, problems);
  const extra = checkExtraArguments(input.rest, problems);
  const envoy = readEnvoySettings(flags, env, proxy, addresses, extra);
  const stop = readStopSettings(flags, env, proxy, notices);
  const raw = rawProxyConfig([reading.texts.meshDefault, reading.texts.env, reading.texts.annotation], proxy);
  const node = readNodeIdentity({
    ...reading,
    role,
    proxy,
    rawProxy: raw,
    addresses,
    podLabels: reading.labels,
    metadata,
    ports,
    identity,
    meshTrustDomain: mesh.trustDomain || undefined,
    exitOnZeroConnections: stop.exitOnZeroConnections,
    skipDeprecatedLogs: envoy.skipDeprecatedLogs,
  });
  const waypoint = role === "waypoint";
  const config: Omit<AgentConfig, "notices"> = {
    role,
    node,
    proxy: { ...proxy, raw },
    mesh: { ...mesh, trustDomain: node.trustDomain },
    ports,
    envoy,
    bootstrap: readBootstrapSource({ ...reading, proxy, metadata: metadata.fields, waypoint }),
    log: readLogSettings(flags),
    metrics: readMetricsSettings(env, role, problems, notices),
    stop,
    identity,
    xds: readXdsSettings(flags, env, problems),
    hotRestart: readHotRestart(flags, env, problems),
    profiling: flags.boolean("profiling") ?? true,
    appProbers: env.text("ISTIO_KUBE_APP_PROBERS"),
    probes: {
      http2: env.boolean("ISTIO_ENABLE_HTTP2_PROBING"),
      legacyLocalhost: env.boolean("REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION"),
      keepAlive: env.boolean("ENABLE_PROBE_KEEPALIVE_CONNECTIONS"),
    },
    loopbackControl: env.boolean("PILOTFISH_LOOPBACK_CONTROL"),
  };
  flags.boolean("disableInternalTelemetry");
  readNotYet(env, metadata.fields, problems, notices);
  asked?.(env.asked);
  problems.throwIfAny();
  return { ...config, notices: notices.all };
}

function startReading(input: ConfigInput): Reading {
  const problems = new Problems();
  const notices = new Notices();
  for (const { name, text } of input.problems) problems.add(name, text);
  for (const sentence of input.notices) notices.add(sentence);
  const annotations = podInfo(input.annotations, notices);
  return {
    input,
    problems,
    notices,
    annotations,
    labels: podInfo(input.labels, notices),
    flags: new FlagReader(input.flags, problems),
    env: new EnvironmentReader(input.env, problems),
    texts: structuredSources(input, annotations, problems, notices),
  };
}

const roles = ["sidecar", "router", "waypoint"] as const satisfies readonly Role[];

function readRole({ input, problems, notices }: Reading): Role {
  const [name = "sidecar", ...more] = input.positionals;
  if (more.length > 0) notices.add(`the words ${more.map((word) => `"${word}"`).join(", ")} are ignored`);
  const role = roles.find((one) => one === name);
  if (role === undefined) problems.add("proxy", `"${name}" is no kind of proxy; use ${roles.join(", ")}`);
  return role ?? "sidecar";
}

function readMesh({ flags, texts, input, problems }: Reading): MeshSettings {
  const from = new ObjectReader(texts.mesh, input.mesh?.path ?? "mesh", problems);
  return {
    proxyListenPort: from.integer("proxyListenPort", 1, 65_535) ?? 15_001,
    proxyInboundListenPort: from.integer("proxyInboundListenPort", 1, 65_535) ?? 15_006,
    connectTimeout: firstSet(flags.duration("connectTimeout"), from.duration("connectTimeout"), 10_000),
    dnsRefreshRate: firstSet(flags.duration("dnsRefreshRate"), from.duration("dnsRefreshRate"), 60_000),
    enablePrometheusMerge: from.boolean("enablePrometheusMerge") ?? true,
    trustDomain: from.text("trustDomain") ?? "",
  };
}

function readProxy(reading: Reading): MergedProxy {
  const { texts, flags, problems, notices } = reading;
  const sources: ProxySources = {
    flag: readFlagLayer(flags, problems),
    pod: annotationLayer(reading),
    annotation: readProxyLayer(texts.annotation, texts.names.annotation, problems),
    env: readProxyLayer(texts.env, texts.names.env, problems),
    mesh: withOldVariables(readProxyLayer(texts.meshDefault, texts.names.mesh, problems), reading.env),
  };
  const merged = mergeProxyConfig(sources);
  // The container's limit counts when nobody said anything; a ProxyConfig's 0 (one a processor) is something.
  const limit = reading.env.integer("ISTIO_CPU_LIMIT");
  const proxy = { ...merged, concurrency: firstSet(merged.concurrency, limit === 0 ? undefined : limit) };
  judgeProxyConfig(proxy, (name, text) => problems.add(name, text), notices);
  return proxy;
}

/** TERMINATION_DRAIN_DURATION_SECONDS is weaker than any ProxyConfig. */
function withOldVariables(mesh: ProxyLayer, env: EnvironmentReader): ProxyLayer {
  const seconds = env.integer("TERMINATION_DRAIN_DURATION_SECONDS");
  const old = seconds === undefined ? undefined : seconds * 1_000;
  return { ...mesh, terminationDrainDuration: firstSet(mesh.terminationDrainDuration, old) };
}

/** The two annotations that win over everything but a flag. The peer goes on without one that it can't read. */
function annotationLayer({ annotations, notices }: Reading): ProxyLayer {
  const [addressName, portName] = ["sidecar.istio.io/discoveryAddress", "status.sidecar.istio.io/port"];
  const address = annotations.get(addressName);
  const port = annotations.get(portName);
  const number = port === undefined ? undefined : parseInteger(port);
  const usable = number !== undefined && number <= 65_535;
  if (port !== undefined && !usable) notices.add(`annotation ${portName}: "${port}" is no port; it is ignored`);
  const known = address !== undefined && parseHostPort(address) !== undefined;
  if (address !== undefined && !known)
    notices.add(`annotation ${addressName}: "${address}" is not host:port; it is ignored`);
  return { discoveryAddress: known ? address : undefined, statusPort: usable ? number : undefined };
}

function readPorts({ env, problems }: Reading, proxy: MergedProxy): Ports {
  const ports: Ports = {
    admin: proxy.proxyAdminPort,
    status: proxy.statusPort > 0 ? proxy.statusPort : undefined,
    readiness: env.port("ENVOY_STATUS_PORT"),
    prometheus: env.port("ENVOY_PROMETHEUS_PORT"),
    secureMetrics: env.portOrOff("ENVOY_SECURE_METRICS_PORT"),
    secureMergedMetrics: env.portOrOff("ENVOY_SECURE_MERGED_METRICS_PORT"),
  };
  const taken = new Map<number, string>();
  for (const [name, port] of Object.entries(ports) as readonly (readonly [keyof Ports, number | undefined])[]) {
    if (port === undefined || port === 0) continue;
    const other = taken.get(port);
    if (other !== undefined) problems.add(portNames[name], `port ${port} is that of ${other} too; use different ports`);
    taken.set(port, portNames[name]);
  }
  return ports;
}

const portNames: Readonly<Record<keyof Ports, string>> = {
  admin: "--proxyAdminPort",
  status: "--statusPort",
  readiness: "ENVOY_STATUS_PORT",
  prometheus: "ENVOY_PROMETHEUS_PORT",
  secureMetrics: "ENVOY_SECURE_METRICS_PORT",
  secureMergedMetrics: "ENVOY_SECURE_MERGED_METRICS_PORT",
};

function readAddresses({ flags, env, input, annotations, notices }: Reading): readonly string[] {
  const ip = flags.text("ip");
  const isAddress = ip === undefined || addressFamily(ip) !== undefined;
  if (!isAddress) flags.problem("ip", `"${ip}" is no address; use one such as 10.0.0.1 or fd00::1`);
  const main = firstSet(isAddress ? ip : undefined, env.text("INSTANCE_IP"));
  const excludedInterfaces = annotations.get("traffic.sidecar.istio.io/excludeInterfaces");
  return nodeAddresses({ main, found: input.addresses, excludedInterfaces }, notices);
}
