import type { Problems } from "../foundation/problems.ts";
import type { FlagReader } from "./flag-reader.ts";
import { isObject, ObjectReader } from "./object-reader.ts";
import type { RemoteService, Tracing } from "./proxy-config-types.ts";
import { authPolicies, type ProxyLayer, readRemoteService } from "./proxy-layer.ts";
import { readJson } from "./structured-text.ts";
import { firstSet } from "./units.ts";

const MOST = 2 ** 31 - 1;

/** The command line's share of the proxy configuration. */
export function readFlagLayer(flags: FlagReader, problems: Problems): ProxyLayer {
  return {
    configPath: flags.text("configPath"),
    binaryPath: flags.text("binaryPath"),
    serviceCluster: flags.text("serviceCluster"),
    drainDuration: firstSet(flags.duration("drainDuration"), envoySeconds(flags, "drain-time-s")),
    parentShutdownDuration: firstSet(
      flags.duration("parentShutdownDuration"),
      envoySeconds(flags, "parent-shutdown-time-s"),
    ),
    discoveryAddress: flags.address("discoveryAddress"),
    proxyAdminPort: flags.integer("proxyAdminPort", 1, 65_535),
    statusPort: flags.integer("statusPort", -65_535, 65_535),
    controlPlaneAuthPolicy: flags.oneOf("controlPlaneAuthPolicy", authPolicies),
    // 0 is how pilot-agent spells "not set".
    concurrency: flags.integer("concurrency", 0, MOST) || undefined,
    customConfigFile: firstSet(flags.text("customConfigFile"), flags.text("config-path")),
    proxyBootstrapTemplatePath: flags.text("templateFile"),
    tracing: tracing(flags),
    envoyAccessLogService: remoteService(flags, "envoyAccessLogService", problems),
    envoyMetricsService: remoteService(flags, "envoyMetricsService", problems),
    statsdUdpAddress: flags.address("statsdUdpAddress"),
  };
}

const envoySeconds = (flags: FlagReader, name: string): number | undefined => {
  const seconds = flags.integer(name, 1, MOST);
  return seconds === undefined ? undefined : seconds * 1_000;
};

/** Of several tracers the first of this order counts; pilot-agent 1.5 let the last one win in this order. */
function tracing(flags: FlagReader): Tracing | undefined {
  const lightstep = flags.address("lightstepAddress");
  const datadog = flags.address("datadogAgentAddress");
  const zipkin = flags.address("zipkinAddress");
  const secure = flags.boolean("lightstepSecure") ?? false;
  if (datadog !== undefined) return { kind: "datadog", address: datadog };
  if (lightstep === undefined) return zipkin === undefined ? undefined : { kind: "zipkin", address: zipkin };
  return {
    kind: "opentelemetry",
    address: lightstep,
    accessToken: flags.text("lightstepAccessToken"),
    secure,
    caCertificatePath: flags.text("lightstepCacertPath"),
  };
}

function remoteService(flags: FlagReader, name: string, problems: Problems): RemoteService | undefined {
  const text = flags.text(name);
  if (text === undefined) return undefined;
  const read = readJson(text);
  if (!read.ok) flags.problem(name, `"${text}" is no JSON: ${read.why}; use {"address":"HOST:PORT"}`);
  else if (!isObject(read.value)) flags.problem(name, `"${text}" is no object; use {"address":"HOST:PORT"}`);
  else return readRemoteService(new ObjectReader(read.value, `--${name}`, problems));
  return undefined;
}
