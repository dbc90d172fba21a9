import type { SdsSettings } from "../config/control-plane-config.ts";
import type { Log } from "../foundation/log.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import type { WorkloadIdentity } from "../identity/workload-identity.ts";
import type { GrpcServer } from "../protocol/grpc-server.ts";
import { peerOf } from "../system/network.ts";
import { effectiveUid } from "../system/process.ts";
import { answers, listenUnix, type UnixListener } from "../system/unix-sockets.ts";
import { noSdsMetrics, type SdsMetrics } from "./sds-metrics.ts";
import type { SecretNack } from "./sds-service.ts";
import type { SecretStore } from "./secret-store.ts";

export interface SdsServerDeps {
  readonly settings: SdsSettings;
  readonly identity: WorkloadIdentity;
  readonly clock: Clock;
  readonly debounce: Millis;
  readonly log: Log;
  readonly metrics?: SdsMetrics;
  /** num_file_secret_failures_total */
  readonly onFileFailure: () => void;
  /** A bug of ours, caught at the edge of a socket's callback. */
  readonly onBug: (error: unknown) => void;
}

/** Secret discovery for Envoy on a unix socket. */
export interface SdsServer {
  /**
   * Binds the socket; what speaks the protocol is loaded after that, while callers wait in the kernel's queue. When
   * somebody else (SPIRE) answers on the workload socket, that one is used and we serve files on `filesSocket` only.
   */
  listen(): Promise<void>;
  status(): SdsStatus;
  close(): Promise<void>;
}

export interface SdsStatus {
  readonly mode: "closed" | "own" | "external";
  readonly socket: string | undefined;
  readonly connections: number;
  readonly streams: number;
  /** Names that streams subscribe to now. */
  readonly asked: readonly string[];
  /** Secrets that were sent, over all streams. */
  readonly pushes: number;
  /** Names that an Envoy has taken, with the version. */
  readonly acked: ReadonlyMap<string, string>;
  /** Names that an Envoy refused and has not taken since. */
  readonly nacks: readonly SecretNack[];
  /** Connections that were turned away because of their uid. */
  readonly turnedAway: number;
}

/** Nothing more may leave our hands: the socket is closed to other uids by its mode, and every peer is checked. */
export const createSdsServer = (deps: SdsServerDeps): SdsServer => new GuardedSds(deps);

type PeerSocket = Parameters<typeof peerOf>[0];

class GuardedSds implements SdsServer {
  readonly #deps: SdsServerDeps;
  readonly #acked = new Map<string, string>();
  readonly #nacks = new Map<string, SecretNack>();
  #pushes = 0;
  #turnedAway = 0;
  #mode: SdsStatus["mode"] = "closed";
  #path: string | undefined;
  #listener: UnixListener | undefined;
  #loading: Promise<GrpcServer> | undefined;
  #server: GrpcServer | undefined;
  #store: SecretStore | undefined;
  #saidUnchecked = false;

  constructor(deps: SdsServerDeps) {
    this.#deps = deps;
  }

  async listen(): Promise<void> {
    const { settings, log } = this.#deps;
    const external = await answers(settings.socket);
    this.#path = external ? settings.filesSocket : settings.socket;
    const others = settings.uids.length > 0;
    this.#listener = await listenUnix(this.#path, {
      mode: others ? 0o666 : 0o600,
      directoryMode: others ? 0o711 : 0o700,
      onSocket: (socket) => this.#accept(socket),
    });
    this.#mode = external ? "external" : "own";
    if (external) log.info("another SDS serves the workload's certificate", { socket: settings.socket });
  }

  status(): SdsStatus {
    return {
      mode: this.#mode,
      socket: this.#path,
      connections: this.#server?.connections ?? 0,
      streams: this.#server?.calls ?? 0,
      asked: this.#store?.names ?? [],
      pushes: this.#pushes,
      acked: this.#acked,
      nacks: [...new Set(this.#nacks.values())],
      turnedAway: this.#turnedAway,
    };
  }

  async close(): Promise<void> {
    this.#mode = "closed";
    await this.#listener?.close();
    await this.#loading?.catch(() => undefined);
    this.#server?.close();
    this.#store?.close();
  }

  #accept(socket: PeerSocket): void {
    socket.on("error", () => undefined);
    if (!this.#mayAsk(socket)) {
      socket.destroy();
      return;
    }
    this.#loading ??= this.#load();
    this.#loading.then((server) => server.accept(socket), this.#deps.onBug);
  }

  #mayAsk(socket: PeerSocket): boolean {
    const { settings, log } = this.#deps;
    const peer = peerOf(socket);
    if (peer === undefined) {
      if (!this.#saidUnchecked)
        log.info("the uid of SDS callers can't be read here; the socket's mode protects it alone");
      this.#saidUnchecked = true;
      return true;
    }
    if (peer.uid === 0 || peer.uid === effectiveUid() || settings.uids.includes(peer.uid)) return true;
    this.#turnedAway += 1;
    log.warn("somebody else asked for secrets and was turned away", { uid: peer.uid, pid: peer.pid });
    return false;
  }

  async #load(): Promise<GrpcServer> {
    const [{ createSdsService }, { SecretStore: Store }] = await Promise.all([
      import("./sds-service.ts"),
      import("./secret-store.ts"),
    ]);
    const { log, clock, onBug, metrics = noSdsMetrics } = this.#deps;
    const store = new Store(this.#deps);
    this.#store = store;
    this.#server = createSdsService({
      ...{ store, clock, log, metrics, onBug },
      onPush: () => {
        this.#pushes += 1;
      },
      onAck: (names, version) => this.#taken(names, version),
      onNack: (nack) => this.#refused(nack),
    });
    return this.#server;
  }

  #taken(names: readonly string[], version: string): void {
    for (const name of names) {
      this.#acked.set(name, version);
      this.#nacks.delete(name);
    }
  }

  #refused(nack: SecretNack): void {
    this.#deps.log.warn("Envoy refused a secret", { names: nack.names.join(), text: nack.text });
    for (const name of nack.names) this.#nacks.set(name, nack);
  }
}
