import type { JsonObject, Locality, NodeIdentity, Ports, Role } from "./agent-config.ts";
import type { EnvironmentReader } from "./environment-reader.ts";
import type { FlagReader } from "./flag-reader.ts";
import type { IdentitySettings } from "./identity-settings.ts";
import { LOCALITY_LABEL, localityOf, localityText } from "./locality.ts";
import { type EnvironmentMetadata, nodeMetadata } from "./node-metadata.ts";
import type { Notices } from "./notices.ts";
import type { MergedProxy } from "./proxy-config.ts";
import { serviceCluster } from "./service-cluster.ts";
import { addressFamily, firstSet, parseHostPort } from "./units.ts";

export interface NodeFacts {
  readonly role: Role;
  readonly flags: FlagReader;
  readonly env: EnvironmentReader;
  readonly proxy: MergedProxy;
  readonly rawProxy: JsonObject;
  readonly addresses: readonly string[];
  /** Of the pod's files, without what the environment adds. */
  readonly podLabels: ReadonlyMap<string, string>;
  readonly annotations: ReadonlyMap<string, string>;
  readonly metadata: EnvironmentMetadata;
  readonly ports: Ports;
  readonly identity: IdentitySettings;
  readonly meshTrustDomain: string | undefined;
  readonly exitOnZeroConnections: boolean;
  readonly skipDeprecatedLogs: boolean;
  readonly notices: Notices;
}

/** Who we are towards the control plane (features.md CLI-8, BOOT-4, BOOT-5). */
export function readNodeIdentity(facts: NodeFacts): NodeIdentity {
  const { flags, env, role, addresses, annotations } = facts;
  const podName = env.text("POD_NAME") ?? "";
  const namespace = env.text("POD_NAMESPACE") ?? "";
  const domain = flags.text("domain") ?? `${namespace}.svc.cluster.local`;
  const id = flags.text("id") ?? `${podName}.${namespace}`;
  tellMissing(facts, { POD_NAME: podName, POD_NAMESPACE: namespace });
  const labels = nodeLabels(facts);
  const workloadName = textField(facts, "WORKLOAD_NAME");
  const named = { podName, namespace, serviceAccount: env.text("SERVICE_ACCOUNT") ?? "" };
  return {
    ...named,
    type: role,
    id,
    nodeId: flags.text("service-node") ?? `${role}~${addresses[0] ?? ""}~${id}~${domain}`,
    cluster: flags.text("service-cluster") ?? serviceCluster({ ...facts.proxy, labels, workloadName, namespace }),
    ipAddresses: addresses,
    workloadName,
    domain,
    trustDomain: firstSet(flags.text("trust-domain"), env.text("TRUST_DOMAIN"), facts.meshTrustDomain, "cluster.local"),
    clusterId: textField(facts, "CLUSTER_ID"),
    locality: locality(facts, labels),
    hostIp: hostIp(facts),
    labels,
    annotations,
    metadata: metadataOf(facts, labels, named),
  };
}

function metadataOf(
  facts: NodeFacts,
  labels: ReadonlyMap<string, string>,
  named: { readonly podName: string; readonly namespace: string; readonly serviceAccount: string },
): JsonObject {
  const { flags, env, proxy, identity } = facts;
  return nodeMetadata(facts.metadata.fields, {
    ...named,
    addresses: facts.addresses,
    labels,
    staticLabels: facts.metadata.staticLabels,
    annotations: facts.annotations,
    proxyConfig: facts.rawProxy,
    ports: facts.ports,
    stsPort: flags.integer("stsPort", 0, 65_535) ?? 0,
    exitOnZeroConnections: facts.exitOnZeroConnections,
    metadataDiscovery: env.boolean("PEER_METADATA_DISCOVERY") || facts.role === "waypoint",
    skipDeprecatedLogs: facts.skipDeprecatedLogs,
    outlierLogPath: flags.text("outlierLogPath"),
    workloadSocketFile: identity.workloadSocketFile === "socket" ? undefined : identity.workloadSocketFile,
    controlPlaneNames: proxy.controlPlaneAuthPolicy === "MUTUAL_TLS" ? [controlPlaneName(proxy, identity)] : [],
  });
}

/** The name in the control plane's certificate: the host's, but not that of a port forward. */
function controlPlaneName(proxy: MergedProxy, identity: IdentitySettings): string {
  const host = parseHostPort(proxy.discoveryAddress)?.host ?? proxy.discoveryAddress;
  return identity.istiodSan ?? (host === "localhost" ? "istiod.istio-system.svc" : host);
}

/** The pod's labels over those of the environment; the hash of the ReplicaSet says nothing about the workload. */
function nodeLabels({ metadata, podLabels }: NodeFacts): ReadonlyMap<string, string> {
  const labels = new Map([...metadata.staticLabels, ...podLabels]);
  if (podLabels.has("pod-template-hash")) labels.delete("pod-template-hash");
  const place = labels.get(LOCALITY_LABEL);
  if (place !== undefined && place !== "") labels.set(LOCALITY_LABEL, localityText(place));
  return labels;
}

function locality({ flags, env }: NodeFacts, labels: ReadonlyMap<string, string>): Locality | undefined {
  const found = localityOf(labels, env.text("PILOTFISH_LOCALITY"));
  const zone = flags.text("service-zone");
  return zone === undefined ? found : { region: found?.region ?? "", subZone: found?.subZone ?? "", zone };
}

/** Outside a pod the id is empty: fine for a file of the user's own, but no control plane accepts it. */
function tellMissing({ flags, proxy, notices }: NodeFacts, parts: Readonly<Record<string, string>>): void {
  const given = flags.has("id") || flags.has("service-node") || proxy.customConfigFile !== undefined;
  const missing = Object.keys(parts).filter((name) => parts[name] === "");
  if (given || missing.length === 0) return;
  notices.add(
    `${missing.join(" and ")} not set: the node's id lacks it, so a control plane will refuse it; set it, or --id`,
  );
}

function hostIp({ env, notices }: NodeFacts): string | undefined {
  const address = env.text("HOST_IP");
  if (address !== undefined && addressFamily(address) === undefined) {
    notices.add(`HOST_IP "${address}" is no address; $(HOST_IP) stands for it all the same`);
  }
  return address;
}

function textField({ metadata }: NodeFacts, name: string): string {
  const value = metadata.fields[name];
  return typeof value === "string" ? value : "";
}
