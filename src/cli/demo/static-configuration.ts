import type { JsonObject } from "../../config/agent-config.ts";

export interface DemoPorts {
  readonly admin: number;
  readonly status: number;
  readonly readiness: number;
  readonly prometheus: number;
  /** Where the example application is reached through Envoy. */
  readonly service: number;
  /** The example application itself. */
  readonly application: number;
}

/** An Envoy configuration with static listeners: the smallest that shows everything without a control plane. */
export function staticConfiguration(ports: DemoPorts): JsonObject {
  return {
    admin: { address: address("127.0.0.1", ports.admin) },
    stats_flush_on_admin: true,
    static_resources: {
      listeners: [
        listener("service", "127.0.0.1", ports.service, [
          { match: { prefix: "/" }, route: { cluster: "application" } },
        ]),
        listener("readiness", "127.0.0.1", ports.readiness, [exactly("/healthz/ready", "agent")]),
        listener("statistics", "127.0.0.1", ports.prometheus, [exactly("/stats/prometheus", "admin")]),
      ],
      clusters: [
        cluster("application", ports.application),
        cluster("agent", ports.status),
        cluster("admin", ports.admin),
      ],
    },
  };
}

const address = (host: string, port: number): JsonObject => ({ socket_address: { address: host, port_value: port } });
const exactly = (path: string, to: string): JsonObject => ({ match: { path }, route: { cluster: to } });

function listener(name: string, host: string, port: number, routes: readonly JsonObject[]): JsonObject {
  const router = {
    name: "envoy.filters.http.router",
    typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
  };
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: name,
    route_config: { virtual_hosts: [{ name, domains: ["*"], routes }] },
    http_filters: [router],
  };
  const filters = [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }];
  return { name, address: address(host, port), filter_chains: [{ filters }] };
}

function cluster(name: string, port: number): JsonObject {
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: address("127.0.0.1", port) } }] }];
  return { name, type: "STATIC", connect_timeout: "1s", load_assignment: { cluster_name: name, endpoints } };
}
