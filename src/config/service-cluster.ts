import type { ProxyConfig } from "./proxy-config-types.ts";

export interface ClusterFacts {
  readonly serviceCluster: string;
  readonly tracingServiceName: ProxyConfig["tracingServiceName"];
  readonly labels: ReadonlyMap<string, string>;
  readonly workloadName: string;
  readonly namespace: string;
}

/** The node's cluster name (features.md BOOT-4): as it was set, or derived from what the pod says about itself. */
export function serviceCluster(facts: ClusterFacts): string {
  const { tracingServiceName: naming, namespace } = facts;
  if (!isDefault(facts.serviceCluster) || naming === "APP_LABEL_AND_NAMESPACE")
    return orDerived(facts.serviceCluster, facts);
  const canonical = canonicalService(facts.labels, facts.workloadName || "istio-proxy");
  if (naming === "CANONICAL_NAME_AND_NAMESPACE" && namespace !== "") return `${canonical}.${namespace}`;
  return orDerived(canonical, facts);
}

const isDefault = (name: string): boolean => name === "" || name === "istio-proxy";

function orDerived(name: string, { labels, workloadName, namespace }: ClusterFacts): string {
  if (!isDefault(name)) return name;
  const app = labels.get("app");
  if (app !== undefined) return `${app}.${namespace}`;
  if (workloadName !== "") return `${workloadName}.${namespace}`;
  return namespace === "" ? "istio-proxy" : `istio-proxy.${namespace}`;
}

/** The service that the pod belongs to by its labels, the workload's name without any. */
function canonicalService(labels: ReadonlyMap<string, string>, workloadName: string): string {
  return (
    labels.get("service.istio.io/canonical-name") ??
    labels.get("app.kubernetes.io/name") ??
    labels.get("app") ??
    workloadName
  );
}
