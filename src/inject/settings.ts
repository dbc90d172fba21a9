import type { Problem } from "../foundation/errors.ts";
import { Annotations } from "./annotation-values.ts";
import type { InjectorConfig, Interception, Mode, ProbeSettings } from "./injector-config.ts";
import { isObject, type Json, type JsonObject, objectOr, textOf, withKey } from "./json-value.ts";
import { annotations as names } from "./names.ts";
import { strategicMerge } from "./strategic-merge.ts";

/** One pod's settings: the configuration, with the pod's annotations laid upon it. */
export interface Settings {
  readonly mode: Mode;
  readonly role: "sidecar" | "router";
  readonly templates: readonly string[];
  readonly image: string;
  /** The effective ProxyConfig, for PROXY_CONFIG. */
  readonly proxyConfig: JsonObject;
  readonly proxyMetadata: Readonly<Record<string, string>>;
  readonly statusPort: number;
  readonly interception: Interception;
  readonly capture: PodCapture;
  readonly logLevel: string;
  readonly componentLogLevel: string;
  readonly agentLogLevel: string;
  readonly wanted: WantedResources;
  readonly hold: boolean;
  readonly rewriteProbes: boolean;
  readonly mergeMetrics: boolean;
  readonly coreDump: boolean;
  readonly bootstrapOverride: string | undefined;
  readonly readinessProbe: ProbeSettings;
  readonly userVolumes: JsonObject;
  readonly userVolumeMounts: JsonObject;
}

export interface PodCapture {
  readonly includeOutboundIPRanges: string;
  readonly excludeOutboundIPRanges: string;
  readonly includeInboundPorts: string;
  readonly excludeInboundPorts: string;
  readonly includeOutboundPorts: string;
  readonly excludeOutboundPorts: string;
  readonly excludeInterfaces: string;
  readonly virtualInterfaces: string;
}

/** What the annotations say about resources; undefined is "as configured". */
export interface WantedResources {
  readonly cpu: string | undefined;
  readonly memory: string | undefined;
  readonly cpuLimit: string | undefined;
  readonly memoryLimit: string | undefined;
}

/** Every problem is added to `problems`; `nameOf` says how one names an annotation. `mode` was asked for by hand. */
export function readSettings(
  podAnnotations: ReadonlyMap<string, string>,
  config: InjectorConfig,
  mode: Mode | undefined,
  problems: Problem[],
  nameOf: (annotation: string) => string,
): Settings {
  const read = new Annotations(podAnnotations, problems, nameOf);
  const proxyConfig = strategicMerge(config.proxyConfig, read.map(names.proxyConfig));
  const statusPort = readStatusPort(read, proxyConfig, config);
  const templates = readTemplates(read, config);
  const native = read.boolean(names.nativeSidecar);
  return {
    mode: mode ?? (native === undefined ? config.mode : native ? "native" : "classic"),
    role: templates.includes("gateway") ? "router" : "sidecar",
    templates,
    image: read.raw(names.image) || config.image,
    proxyConfig: statusPort === 15_020 ? proxyConfig : withKey(proxyConfig, "statusPort", statusPort),
    proxyMetadata: texts(objectOr(proxyConfig["proxyMetadata"])),
    statusPort,
    interception: readInterception(read, proxyConfig, config),
    capture: readCapture(read, config),
    logLevel: read.raw(names.logLevel) || config.proxy.logLevel,
    componentLogLevel: read.raw(names.componentLogLevel) ?? config.proxy.componentLogLevel,
    agentLogLevel: read.raw(names.agentLogLevel) || config.proxy.agentLogLevel,
    wanted: {
      cpu: read.quantity(names.cpu),
      memory: read.quantity(names.memory),
      cpuLimit: read.quantity(names.cpuLimit),
      memoryLimit: read.quantity(names.memoryLimit),
    },
    hold: readHold(proxyConfig, config),
    rewriteProbes: read.boolean(names.rewriteProbes) ?? config.rewriteAppHTTPProbe,
    mergeMetrics: read.boolean(names.mergeMetrics) ?? config.enablePrometheusMerge,
    coreDump: read.boolean(names.coreDump) ?? config.proxy.enableCoreDump,
    bootstrapOverride: read.raw(names.bootstrapOverride) || undefined,
    readinessProbe: {
      ...config.readinessProbe,
      initialDelaySeconds: read.whole(names.readinessDelay, config.readinessProbe.initialDelaySeconds, 0, 86_400),
      periodSeconds: read.whole(names.readinessPeriod, config.readinessProbe.periodSeconds, 1, 86_400),
      failureThreshold: read.whole(names.readinessFailures, config.readinessProbe.failureThreshold, 1, 1_000_000),
    },
    userVolumes: named(read, names.userVolume),
    userVolumeMounts: named(read, names.userVolumeMount),
  };
}

/** Without a status port there is no readiness, no probe, no drain: 0 is refused rather than half done. */
function readStatusPort(read: Annotations, proxyConfig: JsonObject, config: InjectorConfig): number {
  const inConfig = proxyConfig["statusPort"];
  if (inConfig !== undefined && !isUsablePort(inConfig)) {
    read.problem(names.proxyConfig, `statusPort ${JSON.stringify(inConfig)} is not a port from 1 to 65535`);
  }
  return read.whole(names.statusPort, isUsablePort(inConfig) ? inConfig : config.ports.status, 1, 65_535);
}

const isUsablePort = (value: Json | undefined): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65_535;

function readTemplates(read: Annotations, config: InjectorConfig): readonly string[] {
  const text = read.raw(names.templates);
  const asked = text === undefined ? config.defaultTemplates : text.split(",").map((one) => one.trim());
  const known = ["sidecar", "gateway", ...Object.keys(config.templates)];
  const unknown = asked.filter((one) => !known.includes(one));
  if (unknown.length > 0) {
    read.problem(
      names.templates,
      `there is no template ${unknown.map((one) => JSON.stringify(one)).join(", ")}; known are ${known.join(", ")}`,
    );
  }
  return asked.filter((one) => known.includes(one));
}

function readInterception(read: Annotations, proxyConfig: JsonObject, config: InjectorConfig): Interception {
  const modes = ["REDIRECT", "TPROXY", "NONE"] as const;
  const inConfig = modes.find((one) => one === proxyConfig["interceptionMode"]);
  return read.oneOf(names.interceptionMode, inConfig ?? config.capture.interceptionMode, modes);
}

function readCapture(read: Annotations, config: InjectorConfig): PodCapture {
  const from = config.capture;
  return {
    includeOutboundIPRanges: read.ranges(names.includeOutboundIPRanges, from.includeOutboundIPRanges, true),
    excludeOutboundIPRanges: read.ranges(names.excludeOutboundIPRanges, from.excludeOutboundIPRanges, false),
    includeInboundPorts: read.ports(names.includeInboundPorts, from.includeInboundPorts, true),
    excludeInboundPorts: read.ports(names.excludeInboundPorts, from.excludeInboundPorts, false),
    includeOutboundPorts: read.ports(names.includeOutboundPorts, from.includeOutboundPorts, true),
    excludeOutboundPorts: read.ports(names.excludeOutboundPorts, from.excludeOutboundPorts, false),
    excludeInterfaces: read.interfaces(names.excludeInterfaces, from.excludeInterfaces),
    virtualInterfaces: read.interfaces(names.virtualInterfaces, read.interfaces(names.kubevirtInterfaces, "")),
  };
}

function readHold(proxyConfig: JsonObject, config: InjectorConfig): boolean {
  const value = proxyConfig["holdApplicationUntilProxyStarts"];
  return typeof value === "boolean" ? value : config.holdApplicationUntilProxyStarts;
}

const texts = (map: JsonObject): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, textOf(value) ?? JSON.stringify(value)]));

/** userVolume and userVolumeMount: `{"name": {…}}`, each part a map. */
function named(read: Annotations, name: string): JsonObject {
  const map = read.map(name);
  const wrong = Object.entries(map).filter(([, value]) => !isObject(value));
  for (const [key] of wrong) read.problem(name, `${JSON.stringify(key)} is not followed by a map`);
  return wrong.length === 0 ? map : {};
}
