/** Paths and type URLs of the interfaces that we speak (features.md 3.2 to 3.4). */
export const paths = {
  streamAggregated: "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
  deltaAggregated: "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
  streamSecrets: "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
  deltaSecrets: "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets",
  fetchSecrets: "/envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets",
  createCertificate: "/istio.v1.auth.IstioCertificateService/CreateCertificate",
} as const;

const google = "type.googleapis.com/";
export const typeUrls = {
  cluster: `${google}envoy.config.cluster.v3.Cluster`,
  endpoint: `${google}envoy.config.endpoint.v3.ClusterLoadAssignment`,
  listener: `${google}envoy.config.listener.v3.Listener`,
  route: `${google}envoy.config.route.v3.RouteConfiguration`,
  scopedRoute: `${google}envoy.config.route.v3.ScopedRouteConfiguration`,
  virtualHost: `${google}envoy.config.route.v3.VirtualHost`,
  extensionConfig: `${google}envoy.config.core.v3.TypedExtensionConfig`,
  runtime: `${google}envoy.service.runtime.v3.Runtime`,
  secret: `${google}envoy.extensions.transport_sockets.tls.v3.Secret`,
  nameTable: `${google}istio.networking.nds.v1.NameTable`,
  proxyConfig: `${google}istio.mesh.v1alpha1.ProxyConfig`,
  health: `${google}istio.v1.HealthInformation`,
  workload: `${google}istio.workload.Workload`,
} as const;

/** Only these go to Envoy; the rest of what a control plane sends is ours or nobody's (features.md XDS-6). */
export const isForEnvoy = (typeUrl: string): boolean =>
  typeUrl.startsWith(`${google}envoy.`) || typeUrl === typeUrls.workload;

/** `CDS`, `LDS`, …; the last part of the type's name for others. For logs and labels. */
export function shortType(typeUrl: string): string {
  const short: Readonly<Record<string, string>> = {
    [typeUrls.cluster]: "CDS",
    [typeUrls.endpoint]: "EDS",
    [typeUrls.listener]: "LDS",
    [typeUrls.route]: "RDS",
    [typeUrls.secret]: "SDS",
    [typeUrls.extensionConfig]: "ECDS",
    [typeUrls.nameTable]: "NDS",
    [typeUrls.proxyConfig]: "PCDS",
    [typeUrls.health]: "HDS",
  };
  return short[typeUrl] ?? typeUrl.slice(typeUrl.lastIndexOf(".") + 1);
}
