import { adminOn, pipeCluster } from "../sds/real-envoy.ts";

/** A bootstrap like the agent's: CDS and LDS over ADS on a unix socket, SDS on another. */
export const adsBootstrap =
  (xdsSocket: string, sdsSocket: string, apiType: "GRPC" | "DELTA_GRPC", metadata: object = {}) =>
  (adminPort: number): object => ({
    node: { id: `sidecar~127.0.0.1~sleep.default~default.svc.cluster.local`, cluster: "sleep", metadata },
    admin: adminOn(adminPort),
    dynamic_resources: {
      ads_config: {
        api_type: apiType,
        transport_api_version: "V3",
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: "xds-grpc" } }],
      },
      cds_config: { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" },
      lds_config: { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" },
    },
    static_resources: { clusters: [pipeCluster("xds-grpc", xdsSocket), pipeCluster("sds-grpc", sdsSocket)] },
  });

/** YAML of a plain listener that answers with `body`, by way of a cluster that nobody needs. */
export const plainResources = (port: number, body: string): string => `
resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: nobody
  type: STATIC
  connect_timeout: 0.25s
- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: plain
  address: { socket_address: { address: 127.0.0.1, port_value: ${port} } }
  filter_chains:
  - filters:
    - name: envoy.filters.network.http_connection_manager
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        stat_prefix: plain
        route_config:
          name: local
          virtual_hosts:
          - name: all
            domains: ["*"]
            routes:
            - match: { prefix: "/" }
              direct_response: { status: 200, body: { inline_string: "${body}" } }
        http_filters:
        - name: envoy.filters.http.router
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
`;
