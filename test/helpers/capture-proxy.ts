import { spawnSync } from "node:child_process";
import { expect } from "vitest";
import type { Namespace } from "./network-namespaces.ts";
import { pilotfish, root } from "./paths.ts";
import { ProxyRun } from "./proxy.ts";

/** Envoy as the sidecar's: whose connections show that they went through it by the address that they come from. */
export interface CaptureEnvoy {
  /** Source of what Envoy sends out, by family; an address of the pod that nothing else uses. */
  readonly outboundSource: string;
  readonly outboundSourceV6?: string;
  /** TPROXY: the inbound listener keeps the client's address, with this mark. */
  readonly transparentMark?: number;
}

const socket = (address: string, port: number): object => ({ socket_address: { address, port_value: port } });
const typed = (name: string, type: string, more: object = {}): object => ({
  name,
  typed_config: { "@type": `type.googleapis.com/envoy.extensions.filters.${type}`, ...more },
});

function listener(name: string, port: number, cluster: string, options: CaptureEnvoy): object {
  const mark = name === "inbound" ? options.transparentMark : undefined;
  const v6 = options.outboundSourceV6 === undefined ? {} : { additional_addresses: [{ address: socket("::", port) }] };
  return {
    name,
    address: socket("0.0.0.0", port),
    ...v6,
    ...(mark === undefined ? {} : { transparent: true }),
    listener_filters: [
      typed("envoy.filters.listener.original_dst", "listener.original_dst.v3.OriginalDst"),
      ...(mark === undefined
        ? []
        : [typed("envoy.filters.listener.original_src", "listener.original_src.v3.OriginalSrc", { mark })]),
    ],
    filter_chains: [
      {
        filters: [
          typed("envoy.filters.network.tcp_proxy", "network.tcp_proxy.v3.TcpProxy", { stat_prefix: name, cluster }),
        ],
      },
    ],
  };
}

function cluster(name: string, source: string | undefined, v6: string | undefined): object {
  const extra = v6 === undefined ? {} : { extra_source_addresses: [{ address: { address: v6, port_value: 0 } }] };
  return {
    name,
    type: "ORIGINAL_DST",
    lb_policy: "CLUSTER_PROVIDED",
    connect_timeout: "1s",
    ...(source === undefined
      ? {}
      : { upstream_bind_config: { source_address: { address: source, port_value: 0 }, ...extra } }),
  };
}

/** A static configuration with the two capture listeners, the admin and the readiness listener. */
export function captureBootstrap(options: CaptureEnvoy): object {
  const v6 = options.outboundSourceV6;
  const inboundSource = options.transparentMark === undefined ? "127.0.0.6" : undefined;
  return {
    admin: { address: socket("127.0.0.1", 15000) },
    static_resources: {
      listeners: [
        listener("outbound", 15001, "outbound", options),
        listener("inbound", 15006, "inbound", options),
        readiness,
      ],
      clusters: [
        cluster("outbound", options.outboundSource, v6),
        cluster("inbound", inboundSource, v6 === undefined ? undefined : "::6"),
        {
          name: "agent",
          type: "STATIC",
          load_assignment: {
            cluster_name: "agent",
            endpoints: [{ lb_endpoints: [{ endpoint: { address: socket("127.0.0.1", 15020) } }] }],
          },
        },
      ],
    },
  };
}

const readiness = {
  name: "readiness",
  address: socket("0.0.0.0", 15021),
  filter_chains: [
    {
      filters: [
        typed(
          "envoy.filters.network.http_connection_manager",
          "network.http_connection_manager.v3.HttpConnectionManager",
          {
            stat_prefix: "readiness",
            route_config: {
              virtual_hosts: [
                {
                  name: "readiness",
                  domains: ["*"],
                  routes: [{ match: { path: "/healthz/ready" }, route: { cluster: "agent" } }],
                },
              ],
            },
            http_filters: [typed("envoy.filters.http.router", "http.router.v3.Router")],
          },
        ),
      ],
    },
  ],
};

/**
 * Words that run a program as another user in a namespace, in a working directory that is that user's. When a folder
 * above the checkout is closed to others, the checkout is mounted over it, in a mount namespace of the program's own.
 */
export function asUser(
  namespace: Namespace,
  uid: number,
  gid: number,
  more: readonly string[] = [],
): readonly string[] {
  const script = `
chown -R ${uid}:${gid} . && exec "$@"`;
  const open = `
run() { setpriv --reuid ${uid} --regid ${gid} --clear-groups "$@"; }
if ! run test -x '${pilotfish}'; then
  keep=$(mktemp -d) && mount --bind '${root}' "$keep"
  top='${root}'; while parent=$(dirname "$top"); ! run test -x "$parent"; do top=$parent; done
  mount -t tmpfs -o mode=755 none "$top" && mkdir -p '${root}' && mount --move "$keep" '${root}' && rmdir "$keep"
fi`;
  const mount = ["unshare", "--mount", "sh", "-c", `${open}${script}`, "sh"];
  const become = ["setpriv", "--reuid", String(uid), "--regid", String(gid), "--clear-groups", ...more, "--"];
  return [...namespace.prefix, ...mount, ...become];
}

/** `pilotfish proxy` in the pod as the sidecar's user, ready. */
export async function startSidecar(
  pod: Namespace,
  options: CaptureEnvoy,
  user: { readonly uid: number; readonly gid: number; readonly setpriv?: readonly string[] } = { uid: 1337, gid: 1337 },
): Promise<ProxyRun> {
  const run = new ProxyRun({
    prefix: asUser(pod, user.uid, user.gid, user.setpriv),
    bootstrap: captureBootstrap(options),
    args: ["--concurrency", "1"],
  });
  try {
    const [first = "", ...rest] = pod.prefix;
    const waited = spawnSync(first, [...rest, pilotfish, "wait", "--timeoutSeconds", "30"], { encoding: "utf8" });
    expect(waited.status, `${waited.stderr}${waited.stdout}${run.output}`).toBe(0);
    return run;
  } catch (error) {
    await run.done();
    throw error;
  }
}

/** The built command in a namespace; its exit code and what it said. */
export function command(
  namespace: Namespace,
  words: readonly string[],
  before: readonly string[] = [],
): { readonly code: number | null; readonly text: string } {
  const [first = "", ...rest] = [...namespace.prefix, ...before];
  const done = spawnSync(first, [...rest, pilotfish, ...words], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"], HOME: "/" },
  });
  return { code: done.status, text: `${done.stdout}${done.stderr}` };
}
