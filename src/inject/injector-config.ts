import type { JsonObject } from "./json-value.ts";

/** Everything that the person who runs the cluster decides for all pods. Read by injector-config-reader.ts. */
export interface InjectorConfig {
  /** Name and tag of the proxy's image. */
  readonly image: string;
  readonly imagePullPolicy: string | undefined;
  readonly imagePullSecrets: readonly string[];
  /** `native`: an init container that stays (Kubernetes 1.29); `classic`: one container among the others. */
  readonly mode: Mode;
  readonly policy: "enabled" | "disabled";
  readonly neverInjectSelector: readonly Selector[];
  readonly alwaysInjectSelector: readonly Selector[];
  readonly ignoredNamespaces: readonly string[];
  readonly revision: string;
  readonly meshId: string;
  readonly clusterId: string;
  readonly network: string;
  readonly trustDomain: string;
  /** DNS domain of the cluster. */
  readonly clusterDomain: string;
  readonly caAddress: string;
  readonly certProvider: string;
  readonly tokenAudience: string;
  /** Seconds until the kubelet replaces the token. */
  readonly tokenExpiration: number;
  /** Mesh-wide ProxyConfig; a pod's proxy.istio.io/config is laid upon it. */
  readonly proxyConfig: JsonObject;
  readonly ports: InjectorPorts;
  readonly proxy: ProxySettings;
  readonly init: InitSettings;
  readonly capture: CaptureSettings;
  readonly holdApplicationUntilProxyStarts: boolean;
  readonly rewriteAppHTTPProbe: boolean;
  readonly enablePrometheusMerge: boolean;
  readonly startupProbe: ProbeSettings;
  readonly readinessProbe: ProbeSettings;
  readonly injectedAnnotations: Readonly<Record<string, string>>;
  readonly defaultTemplates: readonly string[];
  /** Overlays by name: parts of a pod that are laid upon the injected one. */
  readonly templates: Readonly<Record<string, JsonObject>>;
}

export type Mode = "native" | "classic";

export interface InjectorPorts {
  readonly status: number;
  readonly readiness: number;
  readonly prometheus: number;
  readonly outbound: number;
  readonly inbound: number;
}

export interface ProxySettings {
  readonly uid: number;
  readonly gid: number;
  readonly logLevel: string;
  readonly componentLogLevel: string;
  readonly agentLogLevel: string;
  readonly logAsJson: boolean;
  readonly stsPort: number;
  readonly outlierLogPath: string;
  readonly enableCoreDump: boolean;
  readonly resources: JsonObject;
  /** Replaces the hooks that we would add. */
  readonly lifecycle: JsonObject | undefined;
  /** Further variables, in this order. */
  readonly env: Readonly<Record<string, string>>;
}

export interface InitSettings {
  /** undefined: as the proxy. */
  readonly resources: JsonObject | undefined;
  /** A CNI plugin sets the rules; the init container only checks them. */
  readonly cni: boolean;
}

export interface CaptureSettings {
  readonly interceptionMode: Interception;
  readonly includeOutboundIPRanges: string;
  readonly excludeOutboundIPRanges: string;
  readonly includeInboundPorts: string;
  readonly excludeInboundPorts: string;
  readonly includeOutboundPorts: string;
  readonly excludeOutboundPorts: string;
  readonly excludeInterfaces: string;
}

export type Interception = "REDIRECT" | "TPROXY" | "NONE";

export interface ProbeSettings {
  readonly enabled: boolean;
  readonly initialDelaySeconds: number;
  readonly periodSeconds: number;
  readonly timeoutSeconds: number;
  readonly failureThreshold: number;
}

/** As a Kubernetes LabelSelector. */
export interface Selector {
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly matchExpressions: readonly SelectorTerm[];
}

export interface SelectorTerm {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values: readonly string[];
}

/** Whether the labels fit; an empty selector fits every pod. */
export function selects(selector: Selector, labels: ReadonlyMap<string, string>): boolean {
  return (
    Object.entries(selector.matchLabels).every(([key, value]) => labels.get(key) === value) &&
    selector.matchExpressions.every((term) => fits(term, labels.get(term.key)))
  );
}

function fits(term: SelectorTerm, value: string | undefined): boolean {
  switch (term.operator) {
    case "In":
      return value !== undefined && term.values.includes(value);
    case "NotIn":
      return value === undefined || !term.values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
  }
}
