/** A custom Envoy configuration with static listeners only: it goes LIVE without a control plane. */
export interface StaticOptions {
  readonly adminPort?: number;
  /** Listener that forwards to the application, both on 127.0.0.1 unless `listenHost` says otherwise. */
  readonly listener?: { readonly port: number; readonly to: number; readonly listenHost?: string };
  /** Listener for the kubelet, forwarding exactly /healthz/ready to the status port. */
  readonly readiness?: { readonly port: number; readonly statusPort: number };
  /** Envoy's own statistics. */
  readonly prometheus?: { readonly port: number };
  /** Listener of the application's way out, on 127.0.0.1, to a server there. With it both say their direction. */
  readonly outbound?: { readonly port: number; readonly to: number };
  /** A unix socket for the admin, instead of adminPort. */
  readonly adminPath?: string;
  /** HCM drain_timeout, for example "0.1s". */
  readonly drainTimeout?: string;
  /** A listener filter reads the first bytes of a connection on `listener` before Envoy takes it for one. */
  readonly inspects?: boolean;
}

const address = (host: string, port: number) => ({ socket_address: { address: host, port_value: port } });

const cluster = (name: string, port: number) => ({
  name,
  type: "STATIC",
  connect_timeout: "1s",
  load_assignment: {
    cluster_name: name,
    endpoints: [{ lb_endpoints: [{ endpoint: { address: address("127.0.0.1", port) } }] }],
  },
});

function listener(name: string, host: string, port: number, routes: readonly object[], drainTimeout = "1s"): object {
  return {
    name,
    address: address(host, port),
    filter_chains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typed_config: {
              "@type":
                "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
              stat_prefix: name,
              codec_type: "AUTO",
              drain_timeout: drainTimeout,
              route_config: { virtual_hosts: [{ name, domains: ["*"], routes }] },
              http_filters: [
                {
                  name: "envoy.filters.http.router",
                  typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
                },
              ],
            },
          },
        ],
      },
    ],
  };
}

const tlsInspector = {
  listener_filters_timeout: "60s",
  listener_filters: [
    {
      name: "envoy.filters.listener.tls_inspector",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
      },
    },
  ],
};

export function staticBootstrap(options: StaticOptions): object {
  const { listener: main, readiness, prometheus, adminPort, outbound } = options;
  const all = (to: string) => [{ match: { prefix: "/" }, route: { cluster: to, timeout: "0s" } }];
  const exact = (path: string, to: string) => [{ match: { path }, route: { cluster: to } }];
  const direction = (traffic_direction: string): object => (outbound ? { traffic_direction } : {});
  const listeners = [
    ...(main
      ? [
          {
            ...listener("main", main.listenHost ?? "127.0.0.1", main.port, all("app"), options.drainTimeout),
            ...direction("INBOUND"),
            ...(options.inspects === true ? tlsInspector : {}),
          },
        ]
      : []),
    ...(outbound ? [{ ...listener("out", "127.0.0.1", outbound.port, all("outside")), ...direction("OUTBOUND") }] : []),
    ...(readiness ? [listener("readiness", "0.0.0.0", readiness.port, exact("/healthz/ready", "agent"))] : []),
    ...(prometheus ? [listener("prometheus", "0.0.0.0", prometheus.port, exact("/stats/prometheus", "admin"))] : []),
  ];
  const clusters = [
    ...(main ? [cluster("app", main.to)] : []),
    ...(readiness ? [cluster("agent", readiness.statusPort)] : []),
    ...(prometheus && adminPort ? [cluster("admin", adminPort)] : []),
    ...(outbound ? [cluster("outside", outbound.to)] : []),
  ];
  return { ...adminOf(options), static_resources: { listeners, clusters } };
}

function adminOf({ adminPort, adminPath }: StaticOptions): object {
  if (adminPath !== undefined) return { admin: { address: { pipe: { path: adminPath } } } };
  return adminPort === undefined ? {} : { admin: { address: address("127.0.0.1", adminPort) } };
}
