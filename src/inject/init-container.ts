import type { InjectorConfig } from "./injector-config.ts";
import { defined, type JsonObject } from "./json-value.ts";
import { initName, validationName } from "./names.ts";
import { initEnvironment } from "./proxy-environment.ts";
import { proxyResources } from "./resources.ts";
import type { Settings } from "./settings.ts";

export interface CaptureFacts {
  readonly config: InjectorConfig;
  readonly settings: Settings;
  /** Whom the rules exempt: the user and group that the proxy really runs as in this pod. */
  readonly uid: number;
  readonly gid: number;
  /** Ports that the kubelet must reach directly, besides the proxy's own. */
  readonly uncaptured: readonly number[];
}

/** The run-once container that lays the capture rules, or that checks those of a CNI plugin. */
export function captureContainer(facts: CaptureFacts): JsonObject {
  const { config, settings } = facts;
  const { cni } = config.init;
  return defined({
    name: cni ? validationName : initName,
    image: settings.image,
    imagePullPolicy: config.imagePullPolicy,
    args: [...captureArguments(facts), ...(cni ? ["--run-validation", "--skip-rule-apply"] : [])],
    env:
      settings.proxyMetadata && Object.keys(settings.proxyMetadata).length > 0 ? initEnvironment(settings) : undefined,
    resources: config.init.resources ?? proxyResources(config.proxy.resources, settings.wanted),
    securityContext: cni ? plainContext(facts) : rootContext,
  });
}

/** The seed's command line; options that are only there when somebody asked come last. */
function captureArguments({ config, settings, uid, gid, uncaptured }: CaptureFacts): readonly string[] {
  const { capture } = settings;
  return [
    "istio-iptables",
    "-p",
    String(config.ports.outbound),
    "-z",
    String(config.ports.inbound),
    "-u",
    String(uid),
    ...(gid === uid || settings.interception === "TPROXY" ? [] : ["-g", String(gid)]),
    "-m",
    settings.interception,
    "-i",
    capture.includeOutboundIPRanges,
    "-x",
    capture.excludeOutboundIPRanges,
    "-b",
    capture.includeInboundPorts,
    "-d",
    excludedPorts(config, settings, uncaptured),
    ...(capture.includeOutboundPorts === "" ? [] : ["-q", capture.includeOutboundPorts]),
    ...(capture.excludeOutboundPorts === "" ? [] : ["-o", capture.excludeOutboundPorts]),
    ...(capture.excludeInterfaces === "" ? [] : ["-c", capture.excludeInterfaces]),
    ...(capture.virtualInterfaces === "" ? [] : ["-k", capture.virtualInterfaces]),
    `--log_output_level=${settings.agentLogLevel}`,
  ];
}

/** The proxy's own doors, then the user's, then the status port, as the peer orders them; each port once. */
function excludedPorts(config: InjectorConfig, settings: Settings, uncaptured: readonly number[]): string {
  const ports = [
    String(config.ports.prometheus),
    String(config.ports.readiness),
    ...settings.capture.excludeInboundPorts.split(","),
    ...uncaptured.map(String),
    String(settings.statusPort),
  ];
  return [...new Set(ports.filter((port) => port !== ""))].join(",");
}

const rootContext: JsonObject = {
  allowPrivilegeEscalation: false,
  // NET_RAW is for the legacy backend alone; which one the node has is not known here.
  capabilities: { add: ["NET_ADMIN", "NET_RAW"], drop: ["ALL"] },
  privileged: false,
  readOnlyRootFilesystem: false,
  runAsGroup: 0,
  runAsNonRoot: false,
  runAsUser: 0,
};

const plainContext = ({ uid, gid }: CaptureFacts): JsonObject => ({
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"] },
  privileged: false,
  readOnlyRootFilesystem: true,
  runAsGroup: gid,
  runAsNonRoot: true,
  runAsUser: uid,
});
