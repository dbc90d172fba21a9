import type { InjectorConfig } from "./injector-config.ts";
import { defined, type JsonObject, objectsOf } from "./json-value.ts";
import type { Owner } from "./pod-kinds.ts";
import type { Container } from "./pod-shape.ts";
import type { Settings } from "./settings.ts";

/** Everything that the proxy's container is made from. */
export interface ProxyFacts {
  readonly config: InjectorConfig;
  readonly settings: Settings;
  readonly owner: Owner;
  readonly namespace: string;
  /** The user's containers that live as long as the pod. */
  readonly applications: readonly Container[];
  readonly gracePeriodSeconds: number;
  /** The prober table, and the application's scrape settings, as JSON; undefined when there are none. */
  readonly probers: string | undefined;
  readonly metrics: string | undefined;
  /** Sidecars that Kubernetes starts before the application and ends after it. */
  readonly native: boolean;
}

export const bootstrapOverrideFolder = "/etc/istio/custom-bootstrap";

const value = (name: string, text: string): JsonObject => ({ name, value: text });
const field = (name: string, fieldPath: string): JsonObject => ({ name, valueFrom: { fieldRef: { fieldPath } } });
const limit = (name: string, resource: string): JsonObject => ({
  name,
  valueFrom: { resourceFieldRef: { resource, divisor: "1" } },
});
const given = (name: string, text: string | undefined): readonly JsonObject[] =>
  text === undefined || text === "" ? [] : [value(name, text)];

/** The variables of capture-and-injection.md 5.1, in a fixed order. */
export function proxyEnvironment(facts: ProxyFacts): readonly JsonObject[] {
  const { config, settings } = facts;
  return [
    value("PILOT_CERT_PROVIDER", config.certProvider),
    value("CA_ADDR", config.caAddress),
    field("POD_NAME", "metadata.name"),
    field("POD_NAMESPACE", "metadata.namespace"),
    field("INSTANCE_IP", "status.podIP"),
    field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    field("HOST_IP", "status.hostIP"),
    limit("ISTIO_CPU_LIMIT", "limits.cpu"),
    value("PROXY_CONFIG", JSON.stringify(settings.proxyConfig)),
    value("ISTIO_META_POD_PORTS", podPorts(facts.applications)),
    value("ISTIO_META_APP_CONTAINERS", facts.applications.map((one) => one.name).join(",")),
    limit("GOMEMLIMIT", "limits.memory"),
    value("ISTIO_META_CLUSTER_ID", config.clusterId),
    field("ISTIO_META_NODE_NAME", "spec.nodeName"),
    value("ISTIO_META_INTERCEPTION_MODE", settings.interception),
    ...given("ISTIO_META_NETWORK", config.network),
    ...given("ISTIO_META_WORKLOAD_NAME", facts.owner.name),
    ...given("ISTIO_META_OWNER", ownerAddress(facts.owner, facts.namespace)),
    value("ISTIO_META_MESH_ID", config.meshId),
    value("TRUST_DOMAIN", config.trustDomain),
    // Ours: all draining is planned inside the pod's grace period.
    value("TERMINATION_GRACE_PERIOD", `${facts.gracePeriodSeconds}s`),
    ...otherPorts(config),
    ...given("ISTIO_BOOTSTRAP_OVERRIDE", overridePath(settings)),
    ...given("ISTIO_ENVOY_ENABLE_CORE_DUMP", settings.coreDump ? "true" : undefined),
    ...Object.entries(config.proxy.env).map(([name, text]) => value(name, text)),
    ...Object.entries(settings.proxyMetadata).map(([name, text]) => value(name, text)),
    ...given("ISTIO_KUBE_APP_PROBERS", facts.probers),
    ...given("ISTIO_PROMETHEUS_ANNOTATIONS", facts.metrics),
  ];
}

/** What the init container needs of it: options of the capture rules that come as variables (DNS, dual stack). */
export const initEnvironment = (settings: Settings): readonly JsonObject[] =>
  Object.entries(settings.proxyMetadata).map(([name, text]) => value(name, text));

/** As istiod reads them: a JSON list of container ports. */
function podPorts(containers: readonly Container[]): string {
  const ports = containers.flatMap((container) =>
    objectsOf(container["ports"]).map((port) =>
      defined({ name: port["name"], containerPort: port["containerPort"], protocol: port["protocol"] ?? "TCP" }),
    ),
  );
  return JSON.stringify(ports);
}

function ownerAddress(owner: Owner, namespace: string): string | undefined {
  if (owner.name === "") return undefined;
  return `kubernetes://apis/${owner.apiVersion}/namespaces/${namespace}/${owner.kind.toLowerCase()}s/${owner.name}`;
}

function otherPorts(config: InjectorConfig): readonly JsonObject[] {
  return [
    ...given("ENVOY_STATUS_PORT", config.ports.readiness === 15_021 ? undefined : String(config.ports.readiness)),
    ...given("ENVOY_PROMETHEUS_PORT", config.ports.prometheus === 15_090 ? undefined : String(config.ports.prometheus)),
  ];
}

const overridePath = (settings: Settings): string | undefined =>
  settings.bootstrapOverride === undefined ? undefined : `${bootstrapOverrideFolder}/custom_bootstrap.json`;
