import type { Problem } from "../foundation/errors.ts";
import type { InjectorConfig, ProbeSettings, Selector, SelectorTerm } from "./injector-config.ts";
import { isArray, isObject, type Json, type JsonObject, objectOr, own, textOf } from "./json-value.ts";
import { show } from "./pod-shape.ts";
import { strategicMerge } from "./strategic-merge.ts";

/** Reads fields of one map and remembers which: what nobody asked for is a mistake of the writer. */
class Fields {
  readonly #map: JsonObject;
  readonly #path: string;
  readonly #problems: Problem[];
  readonly #asked = new Set<string>();

  constructor(value: Json | undefined, path: string, problems: Problem[]) {
    this.#map = objectOr(value);
    this.#path = path;
    this.#problems = problems;
    if (value !== undefined && value !== null && !isObject(value)) this.#wrong("", value, "a map");
  }

  #wrong(key: string, value: Json, allowed: string): void {
    this.#problems.push({ name: this.#name(key), text: `${show(value)} is not ${allowed}` });
  }

  #name(key: string): string {
    return [this.#path, key].filter((part) => part !== "").join(".");
  }

  #read<T>(key: string, fallback: T, allowed: string, read: (value: Json) => T | undefined): T {
    this.#asked.add(key);
    const value = own(this.#map, key);
    if (value === undefined || value === null) return fallback;
    const result = read(value);
    if (result === undefined) this.#wrong(key, value, allowed);
    return result ?? fallback;
  }

  text(key: string, fallback: string): string {
    return this.#read(key, fallback, "a text", (value) =>
      typeof value === "number" ? String(value) : (textOf(value) ?? undefined),
    );
  }

  optionalText(key: string): string | undefined {
    const value = this.text(key, "");
    return value === "" ? undefined : value;
  }

  oneOf<T extends string>(key: string, fallback: T, allowed: readonly T[]): T {
    return this.#read(key, fallback, `one of ${allowed.join(", ")}`, (value) => allowed.find((one) => one === value));
  }

  boolean(key: string, fallback: boolean): boolean {
    return this.#read(key, fallback, "true or false", (value) => (typeof value === "boolean" ? value : undefined));
  }

  whole(key: string, fallback: number, least: number, most: number): number {
    return this.#read(key, fallback, `a whole number from ${least} to ${most}`, (value) =>
      typeof value === "number" && Number.isInteger(value) && value >= least && value <= most ? value : undefined,
    );
  }

  port(key: string, fallback: number): number {
    return this.whole(key, fallback, 1, 65_535);
  }

  map(key: string): JsonObject | undefined {
    return this.#read<JsonObject | undefined>(key, undefined, "a map", (value) =>
      isObject(value) ? value : undefined,
    );
  }

  texts(key: string, fallback: readonly string[]): readonly string[] {
    return this.#read(key, fallback, "a list of texts", (value) =>
      isArray(value) && value.every((one) => typeof one === "string") ? (value as readonly string[]) : undefined,
    );
  }

  textMap(key: string): Readonly<Record<string, string>> {
    return this.#read<Readonly<Record<string, string>>>(key, {}, "a map of texts", (value) =>
      isObject(value) && Object.values(value).every((one) => typeof one === "string")
        ? (value as Readonly<Record<string, string>>)
        : undefined,
    );
  }

  list(key: string): readonly JsonObject[] {
    return this.#read<readonly JsonObject[]>(key, [], "a list of maps", (value) =>
      isArray(value) && value.every(isObject) ? value : undefined,
    );
  }

  maps(key: string): Readonly<Record<string, JsonObject>> {
    return this.#read<Readonly<Record<string, JsonObject>>>(key, {}, "a map of maps", (value) =>
      isObject(value) && Object.values(value).every(isObject)
        ? (value as Readonly<Record<string, JsonObject>>)
        : undefined,
    );
  }

  part(key: string): Fields {
    this.#asked.add(key);
    return new Fields(own(this.#map, key), this.#name(key), this.#problems);
  }

  /** Names what nobody asked for. */
  done(): void {
    for (const key of Object.keys(this.#map)) {
      if (this.#asked.has(key)) continue;
      const known = [...this.#asked].sort().join(", ");
      this.#problems.push({ name: this.#name(key), text: `there is no such setting here; known are ${known}` });
    }
  }
}

/** What nobody needs to write down. Values are Istio's where Istio has the setting. */
const defaultResources: JsonObject = {
  requests: { cpu: "100m", memory: "128Mi" },
  limits: { cpu: "2000m", memory: "1024Mi" },
};
const ignoredNamespaces = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/**
 * The injector's configuration from a map (a parsed YAML file); a field that is missing has its default. Every problem
 * is added to `problems`, by the dotted name of the setting.
 */
export function readInjectorConfig(value: Json | undefined, version: string, problems: Problem[]): InjectorConfig {
  const top = new Fields(value, "", problems);
  const config: InjectorConfig = {
    image: top.text("image", `pilotfish/proxy:${version}`),
    imagePullPolicy: top.optionalText("imagePullPolicy"),
    imagePullSecrets: top.texts("imagePullSecrets", []),
    mode: top.oneOf("mode", "native", ["native", "classic"]),
    policy: top.oneOf("policy", "enabled", ["enabled", "disabled"]),
    neverInjectSelector: selectors(top, "neverInjectSelector", problems),
    alwaysInjectSelector: selectors(top, "alwaysInjectSelector", problems),
    ignoredNamespaces: top.texts("ignoredNamespaces", ignoredNamespaces),
    revision: top.text("revision", "default"),
    meshId: top.text("meshId", "cluster.local"),
    clusterId: top.text("clusterId", "Kubernetes"),
    network: top.text("network", ""),
    trustDomain: top.text("trustDomain", "cluster.local"),
    clusterDomain: top.text("clusterDomain", "cluster.local"),
    caAddress: top.text("caAddress", "istiod.istio-system.svc:15012"),
    certProvider: top.text("certProvider", "istiod"),
    tokenAudience: top.text("tokenAudience", "istio-ca"),
    tokenExpiration: top.whole("tokenExpiration", 43_200, 600, 2 ** 32),
    proxyConfig: top.map("proxyConfig") ?? {},
    ports: readPorts(top.part("ports")),
    proxy: readProxy(top.part("proxy")),
    init: readInit(top.part("init")),
    capture: readCapture(top.part("capture")),
    holdApplicationUntilProxyStarts: top.boolean("holdApplicationUntilProxyStarts", false),
    rewriteAppHTTPProbe: top.boolean("rewriteAppHTTPProbe", true),
    enablePrometheusMerge: top.boolean("enablePrometheusMerge", true),
    // 600 tries of one second: as long as an application would have waited.
    startupProbe: readProbe(top.part("startupProbe"), {
      initialDelaySeconds: 0,
      periodSeconds: 1,
      failureThreshold: 600,
    }),
    readinessProbe: readProbe(top.part("readinessProbe"), {
      initialDelaySeconds: 0,
      periodSeconds: 15,
      failureThreshold: 4,
    }),
    injectedAnnotations: top.textMap("injectedAnnotations"),
    defaultTemplates: top.texts("defaultTemplates", ["sidecar"]),
    templates: top.maps("templates"),
  };
  top.done();
  return config;
}

function readPorts(fields: Fields): InjectorConfig["ports"] {
  const ports = {
    status: fields.port("status", 15_020),
    readiness: fields.port("readiness", 15_021),
    prometheus: fields.port("prometheus", 15_090),
    outbound: fields.port("outbound", 15_001),
    inbound: fields.port("inbound", 15_006),
  };
  fields.done();
  return ports;
}

function readProxy(fields: Fields): InjectorConfig["proxy"] {
  const proxy = {
    uid: fields.whole("uid", 1337, 0, 2 ** 31 - 1),
    gid: fields.whole("gid", 1337, 0, 2 ** 31 - 1),
    logLevel: fields.text("logLevel", "warning"),
    componentLogLevel: fields.text("componentLogLevel", "misc:error"),
    agentLogLevel: fields.text("agentLogLevel", "default:info"),
    logAsJson: fields.boolean("logAsJson", false),
    stsPort: fields.whole("stsPort", 0, 0, 65_535),
    outlierLogPath: fields.text("outlierLogPath", ""),
    enableCoreDump: fields.boolean("enableCoreDump", false),
    resources: strategicMerge(defaultResources, fields.map("resources") ?? {}),
    lifecycle: fields.map("lifecycle"),
    env: fields.textMap("env"),
  };
  fields.done();
  return proxy;
}

function readInit(fields: Fields): InjectorConfig["init"] {
  const init = { resources: fields.map("resources"), cni: fields.boolean("cni", false) };
  fields.done();
  return init;
}

function readCapture(fields: Fields): InjectorConfig["capture"] {
  const capture = {
    interceptionMode: fields.oneOf("interceptionMode", "REDIRECT", ["REDIRECT", "TPROXY", "NONE"]),
    includeOutboundIPRanges: fields.text("includeOutboundIPRanges", "*"),
    excludeOutboundIPRanges: fields.text("excludeOutboundIPRanges", ""),
    includeInboundPorts: fields.text("includeInboundPorts", "*"),
    excludeInboundPorts: fields.text("excludeInboundPorts", ""),
    includeOutboundPorts: fields.text("includeOutboundPorts", ""),
    excludeOutboundPorts: fields.text("excludeOutboundPorts", ""),
    excludeInterfaces: fields.text("excludeInterfaces", ""),
  };
  fields.done();
  return capture;
}

function readProbe(
  fields: Fields,
  standard: Pick<ProbeSettings, "initialDelaySeconds" | "periodSeconds" | "failureThreshold">,
): ProbeSettings {
  const probe = {
    enabled: fields.boolean("enabled", true),
    initialDelaySeconds: fields.whole("initialDelaySeconds", standard.initialDelaySeconds, 0, 86_400),
    periodSeconds: fields.whole("periodSeconds", standard.periodSeconds, 1, 86_400),
    timeoutSeconds: fields.whole("timeoutSeconds", 3, 1, 86_400),
    failureThreshold: fields.whole("failureThreshold", standard.failureThreshold, 1, 1_000_000),
  };
  fields.done();
  return probe;
}

function selectors(top: Fields, key: string, problems: Problem[]): readonly Selector[] {
  return top.list(key).map((value, index) => {
    const fields = new Fields(value, `${key}[${index}]`, problems);
    const selector = {
      matchLabels: fields.textMap("matchLabels"),
      matchExpressions: fields
        .list("matchExpressions")
        .map((term, at) => readTerm(new Fields(term, `${key}[${index}].matchExpressions[${at}]`, problems))),
    };
    fields.done();
    return selector;
  });
}

function readTerm(fields: Fields): SelectorTerm {
  const term: SelectorTerm = {
    key: fields.text("key", ""),
    operator: fields.oneOf("operator", "Exists", ["In", "NotIn", "Exists", "DoesNotExist"]),
    values: fields.texts("values", []),
  };
  fields.done();
  return term;
}
