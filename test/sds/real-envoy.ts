import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { envoy } from "../helpers/paths.ts";

/** A real Envoy of the test's own. */
export interface RealEnvoy {
  readonly admin: string;
  readonly adminPort: number;
  readonly pid: number;
  /** What it printed. */
  output(): string;
  get(path: string): Promise<string>;
  /** One statistic's value, 0 when it is not there yet. */
  stat(name: string): Promise<number>;
  stop(): Promise<void>;
}

/** `bootstrap` gets the admin's port; nothing else is added to it. */
export async function startEnvoy(
  folder: string,
  name: string,
  bootstrap: (adminPort: number) => object,
): Promise<RealEnvoy> {
  const [adminPort = 0] = await freePorts(1);
  const file = join(folder, `${name}.json`);
  writeFileSync(file, JSON.stringify(bootstrap(adminPort)));
  const child: ChildProcess = spawn(
    envoy,
    [
      "-c",
      file,
      "--disable-hot-restart",
      "--concurrency",
      "1",
      "-l",
      "warning",
      "--service-node",
      name,
      "--service-cluster",
      "test",
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let said = "";
  const hear = (text: Buffer): void => {
    said += text.toString();
  };
  child.stdout?.on("data", hear);
  child.stderr?.on("data", hear);
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const admin = `http://127.0.0.1:${adminPort}`;
  const get = async (path: string): Promise<string> => (await fetch(admin + path)).text();
  const one: RealEnvoy = {
    admin,
    adminPort,
    pid: child.pid ?? -1,
    output: () => said,
    get,
    async stat(stat) {
      const text = await get(`/stats?filter=^${stat.replaceAll(".", "\\.")}$`);
      return Number(/: (\d+)/.exec(text)?.[1] ?? 0);
    },
    async stop() {
      child.kill("SIGKILL");
      await ended;
    },
  };
  await eventually(`Envoy's admin (it said: ${said})`, async () => {
    if (child.exitCode !== null) throw new Error(`Envoy ended: ${said}`);
    return (await get("/server_info")).includes("state");
  }).catch(async (error: unknown) => {
    await one.stop();
    throw new Error(`Envoy did not start: ${said}`, { cause: error });
  });
  return one;
}

export const adminOn = (port: number) => ({
  address: { socket_address: { address: "127.0.0.1", port_value: port } },
});

/** An HTTP/2 cluster at a unix socket. */
export const pipeCluster = (name: string, path: string) => ({
  name,
  type: "STATIC",
  connect_timeout: "1s",
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
  load_assignment: {
    cluster_name: name,
    endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path } } } }] }],
  },
});

export const sdsSecret = (name: string, apiType = "GRPC") => ({
  name,
  sds_config: {
    resource_api_version: "V3",
    initial_fetch_timeout: "0s",
    api_config_source: {
      api_type: apiType,
      transport_api_version: "V3",
      grpc_services: [{ envoy_grpc: { cluster_name: "sds-grpc" } }],
    },
  },
});

/** A listener that answers every request with "hello", over mTLS with secrets from SDS. */
export const mtlsListener = (port: number, apiType = "GRPC", certificate = "default", roots = "ROOTCA") => ({
  name: `mtls-${port}`,
  address: { socket_address: { address: "127.0.0.1", port_value: port } },
  filter_chains: [
    {
      transport_socket: {
        name: "envoy.transport_sockets.tls",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
          require_client_certificate: true,
          common_tls_context: {
            tls_certificate_sds_secret_configs: [sdsSecret(certificate, apiType)],
            validation_context_sds_secret_config: sdsSecret(roots, apiType),
          },
        },
      },
      filters: [hello],
    },
  ],
});

export const hello = {
  name: "envoy.filters.network.http_connection_manager",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "hello",
    route_config: {
      name: "local",
      virtual_hosts: [
        {
          name: "all",
          domains: ["*"],
          routes: [{ match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "hello" } } }],
        },
      ],
    },
    http_filters: [
      {
        name: "envoy.filters.http.router",
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
      },
    ],
  },
};
