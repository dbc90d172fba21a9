import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { noLog } from "../../src/foundation/log.ts";
import { addressesOf } from "../../src/process/hot-restart/listen-addresses.ts";
import { type Place, socketName } from "../../src/process/hot-restart/names.ts";
import { readSharedMemory, sharedMemoryPath } from "../../src/process/hot-restart/shared-memory.ts";
import { realClock } from "../../src/system/clock.ts";
import { type DatagramSockets, datagramSockets } from "../../src/system/datagram-sockets.ts";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import type { LoadEntry } from "../helpers/load/load.ts";
import { envoy, temporaryFolder } from "../helpers/paths.ts";
import { type Answer, ask } from "../helpers/proxy.ts";

export interface EnvoyOptions {
  readonly concurrency?: number;
  readonly drain?: number;
  readonly parentShutdown?: number;
  /** Another configuration than the rig's. */
  readonly bootstrap?: object;
  /** Another Envoy than the tests' usual one. */
  readonly program?: string;
  /** Leaves out --socket-path: Envoy's abstract default. */
  readonly abstract?: boolean;
  readonly more?: readonly string[];
}

/** One real Envoy. */
export class EnvoyRun {
  readonly epoch: number;
  readonly child: ChildProcess;
  readonly exited: Promise<string>;
  output = "";
  /** "0", "SIGABRT", …; undefined while it runs. */
  end: string | undefined;

  constructor(epoch: number, words: readonly string[]) {
    this.epoch = epoch;
    const [program = "", ...args] = words;
    this.child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output += text;
      });
    this.exited = new Promise((resolve) => {
      this.child.once("exit", (code, signal) => {
        this.end = signal ?? String(code);
        resolve(this.end);
      });
    });
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<string> {
    this.child.kill(signal);
    return this.exited;
  }
}

/** A lineage of real Envoys with a base-id, a directory, ports and listeners of its own. */
export class Rig {
  readonly folder = temporaryFolder("hot-restart");
  readonly sockets: DatagramSockets;
  readonly baseId = unusedBaseId();
  readonly prefix = join(this.folder.path, "envoy");
  readonly envoys: EnvoyRun[] = [];
  readonly closing: (() => void)[] = [];
  admin = 0;
  http = 0;
  tcp = 0;
  /** Address [::1]. */
  http6 = 0;

  private constructor(sockets: DatagramSockets) {
    this.sockets = sockets;
    chmodSync(this.folder.path, 0o700);
  }

  static async make(): Promise<Rig> {
    const sockets = datagramSockets();
    if (sockets === undefined) throw new Error("koffi is missing: the set-up installs it");
    const rig = new Rig(sockets);
    const [admin = 0, http = 0, tcp = 0, http6 = 0] = await freePorts(4);
    Object.assign(rig, { admin, http, tcp, http6 });
    return rig;
  }

  get shm(): { readonly baseId: number } {
    return { baseId: this.baseId };
  }

  place(epoch: number): Place {
    return { prefix: this.prefix, baseId: this.baseId, epoch, clock: realClock, log: noLog };
  }

  /** Executes an Envoy; it is not waited for. */
  start(epoch: number, options: EnvoyOptions = {}): EnvoyRun {
    const { concurrency = 2, drain = 1, parentShutdown = 3 } = options;
    const path = join(this.folder.path, `bootstrap-${epoch}-${this.envoys.length}.json`);
    writeFileSync(path, JSON.stringify(options.bootstrap ?? this.bootstrap()));
    const flags = {
      "-c": path,
      "--base-id": this.baseId,
      "--restart-epoch": epoch,
      "--drain-time-s": drain,
      "--parent-shutdown-time-s": parentShutdown,
      "--drain-strategy": "immediate",
      "--concurrency": concurrency,
      "-l": "info",
      ...(options.abstract === true ? {} : { "--socket-path": this.prefix }),
    };
    const words = Object.entries(flags).flatMap(([name, value]) => [name, String(value)]);
    const run = new EnvoyRun(epoch, [options.program ?? envoy, ...words, ...(options.more ?? [])]);
    this.envoys.push(run);
    return run;
  }

  /** Starts and waits until it is LIVE as this epoch. */
  async live(epoch: number, options: EnvoyOptions = {}): Promise<EnvoyRun> {
    const run = this.start(epoch, options);
    await this.untilLive(run);
    return run;
  }

  untilLive(run: EnvoyRun): Promise<boolean> {
    return eventually(`epoch ${run.epoch} is LIVE`, async () => {
      if (run.end !== undefined) throw new Error(`it ended (${run.end}): ${run.output}`);
      return this.isLive(run.epoch);
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${run.output}`, { cause: error });
    });
  }

  async isLive(epoch: number): Promise<boolean> {
    const info = JSON.parse((await this.ask("/server_info")).body) as {
      state: string;
      command_line_options: { restart_epoch?: number };
    };
    return info.state === "LIVE" && (info.command_line_options.restart_epoch ?? 0) === epoch;
  }

  ask(path: string, method = "GET"): Promise<Answer> {
    return ask({ port: this.admin }, path, { method, timeout: 1_000 });
  }

  async addresses(): Promise<readonly string[]> {
    return addressesOf((await this.ask("/listeners?format=json")).body);
  }

  /** Whether a child is initializing, by the shared memory's flag. */
  flag(): boolean | undefined {
    const state = readSharedMemory(this.shm);
    return state.is === "known" ? state.initializing : undefined;
  }

  bootstrap(more: readonly object[] = []): object {
    const listeners = [
      listener("http", "127.0.0.1", this.http, httpFilter()),
      listener("http6", "::1", this.http6, httpFilter()),
      listener("tcp", "127.0.0.1", this.tcp, tcpFilter()),
      ...more,
    ];
    return {
      admin: { address: address("127.0.0.1", this.admin) },
      static_resources: { listeners, clusters: [cluster("echo", this.#echoPort)] },
    };
  }

  /** Parts of a bootstrap whose control plane is never there: an Envoy with it waits for ever before LIVE. */
  silentControlPlane(): object {
    const source = { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" };
    const base = this.bootstrap() as { static_resources: { clusters: object[] } };
    return {
      node: { id: "x", cluster: "x" },
      static_resources: {
        clusters: [...base.static_resources.clusters, silentCluster("xds", `${this.prefix}-no-xds`)],
      },
      dynamic_resources: {
        ads_config: {
          api_type: "GRPC",
          transport_api_version: "V3",
          grpc_services: [{ envoy_grpc: { cluster_name: "xds" } }],
        },
        cds_config: source,
        lds_config: source,
      },
    };
  }

  #echoPort = 1;

  /** An echo server behind the TCP listener. */
  async echo(): Promise<void> {
    const open = new Set<Socket>();
    const server: Server = createServer((socket) => {
      open.add(socket);
      socket.on("error", () => undefined);
      socket.once("close", () => open.delete(socket));
      socket.pipe(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const at = server.address();
    this.#echoPort = typeof at === "object" && at !== null ? at.port : 1;
    this.closing.push(() => {
      server.close();
      for (const socket of open) socket.destroy();
    });
  }

  /** A moderate load of every kind that is asked for. */
  load(...kinds: readonly LoadEntry["kind"][]): LoadEntry[] {
    return kinds.map((kind) => ({
      kind,
      port: kind === "tcp" ? this.tcp : this.http,
      clients: kind === "tcp" ? 2 : 4,
      pause: 4,
      timeout: 20_000,
    }));
  }

  socketFile(role: "parent" | "child", epoch: number): string {
    return socketName(this.place(epoch), role, epoch);
  }

  /** Ends everything that was started; then nothing of it is left. */
  async done(): Promise<void> {
    for (const close of this.closing) close();
    for (const run of this.envoys.filter(({ end }) => end === undefined)) await run.kill();
    rmSync(sharedMemoryPath(this.shm), { force: true });
    this.folder.done();
  }
}

/** Words that run a program as another user, with nothing of root left. */
export const asUser = (uid: number): readonly string[] => [
  "setpriv",
  "--reuid",
  String(uid),
  "--regid",
  String(uid),
  "--clear-groups",
  "--inh-caps=-all",
  "--",
];

/** Unique in this machine's /dev/shm. */
function unusedBaseId(): number {
  for (;;) {
    const baseId = 1_000_000 + Math.floor(Math.random() * 200_000_000);
    if (!existsSync(sharedMemoryPath({ baseId }))) return baseId;
  }
}

/** Threads and children that a process is blocked or busy with: its state in /proc, "T" for stopped. */
export const processState = (pid: number): string =>
  readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").pop()?.[0] ?? "?";

const address = (host: string, port: number): object => ({ socket_address: { address: host, port_value: port } });

export function listener(name: string, host: string, port: number, filter: object, more: object = {}): object {
  return { name, address: address(host, port), filter_chains: [{ filters: [filter] }], ...more };
}

/** Answers by itself, with a body of known length. */
export function httpFilter(): object {
  return {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
      stat_prefix: "http",
      codec_type: "AUTO",
      drain_timeout: "1s",
      route_config: {
        virtual_hosts: [
          {
            name: "all",
            domains: ["*"],
            routes: [
              {
                match: { prefix: "/" },
                direct_response: { status: 200, body: { inline_string: "hello\n".repeat(50) } },
              },
            ],
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
}

function tcpFilter(): object {
  return {
    name: "envoy.filters.network.tcp_proxy",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
      stat_prefix: "tcp",
      cluster: "echo",
    },
  };
}

const cluster = (name: string, port: number): object => ({
  name,
  type: "STATIC",
  connect_timeout: "1s",
  load_assignment: {
    cluster_name: name,
    endpoints: [{ lb_endpoints: [{ endpoint: { address: address("127.0.0.1", port) } }] }],
  },
});

const silentCluster = (name: string, path: string): object => ({
  name,
  type: "STATIC",
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

export function udpListener(name: string, port: number): object {
  const of = "type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3";
  const route = { name: "route", typed_config: { "@type": `${of}.Route`, cluster: "echo" } };
  const config = {
    "@type": `${of}.UdpProxyConfig`,
    stat_prefix: name,
    matcher: { on_no_match: { action: route } },
  };
  return {
    name,
    address: { socket_address: { protocol: "UDP", address: "127.0.0.1", port_value: port } },
    listener_filters: [{ name: "envoy.filters.udp_listener.udp_proxy", typed_config: config }],
  };
}
