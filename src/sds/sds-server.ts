import type { SdsSettings } from "../config/control-plane-config.ts";
import type { Log } from "../foundation/log.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import type { WorkloadIdentity } from "../identity/workload-identity.ts";
import type { GrpcServer } from "../protocol/grpc-server.ts";
import { peerOf } from "../system/network.ts";
import { effectiveUid } from "../system/process.ts";
import { answers, listenUnix, type UnixListener } from "../system/unix-sockets.ts";
import type { SecretNack } from "./sds-service.ts";
import type { SecretStore } from "./secret-store.ts";

export interface SdsServerDeps {
  readonly settings: SdsSettings;
  readonly identity: WorkloadIdentity;
  readonly clock: Clock;
  readonly debounce: Millis;
  readonly log: Log;
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
export function createSdsServer(deps: SdsServerDeps): SdsServer {
  const { settings, log } = deps;
  const acked = new Map<string, string>();
  const nacks = new Map<string, SecretNack>();
  const counts = { pushes: 0, turnedAway: 0 };
  let mode: SdsStatus["mode"] = "closed";
  let path: string | undefined;
  let listener: UnixListener | undefined;
  let service: Promise<GrpcServer> | undefined;
  let server: GrpcServer | undefined;
  let store: SecretStore | undefined;
  let saidUnchecked = false;

  const load = async (): Promise<GrpcServer> => {
    const [{ createSdsService }, { SecretStore: Store }] = await Promise.all([
      import("./sds-service.ts"),
      import("./secret-store.ts"),
    ]);
    const loaded = new Store(deps);
    store = loaded;
    server = createSdsService({
      store: loaded,
      log,
      onBug: deps.onBug,
      onPush: () => {
        counts.pushes += 1;
      },
      onAck: (names, version) => {
        for (const name of names) {
          acked.set(name, version);
          nacks.delete(name);
        }
      },
      onNack: (nack) => {
        log.warn("Envoy refused a secret", { names: nack.names.join(), text: nack.text });
        for (const name of nack.names) nacks.set(name, nack);
      },
    });
    return server;
  };

  const mayAsk = (socket: Parameters<typeof peerOf>[0]): boolean => {
    const peer = peerOf(socket);
    if (peer === undefined) {
      if (!saidUnchecked) log.info("the uid of SDS callers can't be read here; the socket's mode protects it alone");
      saidUnchecked = true;
      return true;
    }
    if (peer.uid === 0 || peer.uid === effectiveUid() || settings.uids.includes(peer.uid)) return true;
    counts.turnedAway += 1;
    log.warn("somebody else asked for secrets and was turned away", { uid: peer.uid, pid: peer.pid });
    return false;
  };

  return {
    async listen() {
      const external = await answers(settings.socket);
      path = external ? settings.filesSocket : settings.socket;
      const others = settings.uids.length > 0;
      listener = await listenUnix(path, {
        mode: others ? 0o666 : 0o600,
        directoryMode: others ? 0o711 : 0o700,
        onSocket: (socket) => {
          socket.on("error", () => undefined);
          if (!mayAsk(socket)) {
            socket.destroy();
            return;
          }
          service ??= load();
          service.then((one) => one.accept(socket), deps.onBug);
        },
      });
      mode = external ? "external" : "own";
      if (external) log.info("another SDS serves the workload's certificate", { socket: settings.socket });
    },
    status: () => ({
      mode,
      socket: path,
      connections: server?.connections ?? 0,
      streams: server?.calls ?? 0,
      asked: store?.names ?? [],
      pushes: counts.pushes,
      acked,
      nacks: [...new Set(nacks.values())],
      turnedAway: counts.turnedAway,
    }),
    async close() {
      mode = "closed";
      await listener?.close();
      await service?.catch(() => undefined);
      server?.close();
      store?.close();
    },
  };
}
