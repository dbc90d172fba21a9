import { staticBootstrap } from "../static-bootstrap.ts";
import type { RigPorts } from "./rig.ts";

/** What a test may change before it is written. */
export interface MutableBootstrap {
  static_resources: { listeners: object[]; clusters: object[] };
}

const address = (port: number) => ({ socket_address: { address: "127.0.0.1", port_value: port } });

/** A plain TCP proxy to a port of 127.0.0.1; its cluster has the same name. */
export function tcpListener(name: string, port: number, to: number): readonly [listener: object, cluster: object] {
  const type = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
  const typed_config = { "@type": type, stat_prefix: name, cluster: name };
  const filters = [{ name: "envoy.filters.network.tcp_proxy", typed_config }];
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: address(to) } }] }];
  return [
    { name, address: address(port), filter_chains: [{ filters }] },
    { name, type: "STATIC", connect_timeout: "1s", load_assignment: { cluster_name: name, endpoints } },
  ];
}

/** A listener that answers every request itself. */
export function answeringListener(name: string, port: number, body = "hello"): object {
  const hcm = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
  const router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
  const routes = [{ match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: body } } }];
  const typed_config = {
    "@type": hcm,
    stat_prefix: name,
    route_config: { virtual_hosts: [{ name, domains: ["*"], routes }] },
    http_filters: [{ name: "envoy.filters.http.router", typed_config: { "@type": router } }],
  };
  const filters = [{ name: "envoy.filters.network.http_connection_manager", typed_config }];
  return { name, address: address(port), filter_chains: [{ filters }] };
}

/** The rig's static configuration: HTTP to the application, TCP to the echo, readiness, Envoy's statistics. */
export function rigBootstrap(ports: RigPorts): MutableBootstrap {
  const made = staticBootstrap({
    adminPort: ports.admin,
    listener: { port: ports.listener, to: ports.app },
    readiness: { port: ports.readiness, statusPort: ports.status },
    prometheus: { port: ports.prometheus },
  }) as MutableBootstrap;
  const [listener, cluster] = tcpListener("echo", ports.tcp, ports.echo);
  made.static_resources.listeners.push(listener);
  made.static_resources.clusters.push(cluster);
  return made;
}
