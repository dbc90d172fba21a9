import type { JsonObject } from "../../config/agent-config.ts";

export interface DemoPorts {
  readonly admin: number;
  readonly status: number;
  readonly readiness: number;
  readonly prometheus: number;
  /** Where the example application is reached through Envoy, without and with mutual TLS. */
  readonly service: number;
  readonly secure: number;
  /** The example application itself. */
  readonly application: number;
}

/** What the demo's control plane tells Envoy: one cluster, one route, a plain listener and one with mutual TLS. */
export function discoveryResources(ports: DemoPorts): readonly JsonObject[] {
  return [
    cluster("application", ports.application),
    {
      "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
      name: "application",
      virtual_hosts: [
        { name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "application" } }] },
      ],
    },
    listener("service", ports.service, {}),
    listener("secure", ports.secure, { transport_socket: mutualTls() }),
  ];
}

const address = (host: string, port: number): JsonObject => ({ socket_address: { address: host, port_value: port } });
const overAds = { ads: {}, resource_api_version: "V3" } as const;

function cluster(name: string, port: number): JsonObject {
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: address("127.0.0.1", port) } }] }];
  return {
    "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    name,
    type: "STATIC",
    connect_timeout: "1s",
    load_assignment: { cluster_name: name, endpoints },
  };
}

function listener(name: string, port: number, chain: JsonObject): JsonObject {
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: name,
    rds: { route_config_name: "application", config_source: overAds },
    http_filters: [
      {
        name: "envoy.filters.http.router",
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
      },
    ],
  };
  const filters = [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }];
  return {
    "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
    name,
    address: address("127.0.0.1", port),
    filter_chains: [{ filters, ...chain }],
  };
}

/** The workload's own certificate, and callers of the same trust domain only: both by secret discovery, through us. */
function mutualTls(): JsonObject {
  const secret = (name: string): JsonObject => ({
    name,
    sds_config: {
      resource_api_version: "V3",
      api_config_source: {
        api_type: "GRPC",
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "sds-grpc" } }],
      },
    },
  });
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
      require_client_certificate: true,
      common_tls_context: {
        tls_certificate_sds_secret_configs: [secret("default")],
        validation_context_sds_secret_config: secret("ROOTCA"),
      },
    },
  };
}
