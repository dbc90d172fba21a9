import type { ControlPlaneConfig } from "../config/control-plane-config.ts";
import { describeError } from "../foundation/errors.ts";
import type { Log } from "../foundation/log.ts";
import type { Clock } from "../foundation/time.ts";
import type { GrpcServer } from "../protocol/grpc-server.ts";
import { paths, typeUrls } from "../protocol/names.ts";
import { peerOf } from "../system/network.ts";
import { effectiveUid } from "../system/process.ts";
import { listenUnix, type UnixListener } from "../system/unix-sockets.ts";
import type { ApplicationHealth, XdsHooks } from "./own-types.ts";
import type { Patience, ProxyStream, ProxyStreamDeps } from "./proxy-stream.ts";
import { Backoff } from "./reconnect.ts";
import type { XdsMetrics } from "./xds-metrics.ts";
import type { ConfiguredEnvoy, XdsStatus } from "./xds-status.ts";

export interface AdsProxyDeps {
  readonly config: ControlPlaneConfig;
  readonly clock: Clock;
  /** 0..1 */
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: XdsMetrics;
  readonly hooks: XdsHooks;
  /** A bug of ours, caught at the edge of a socket's callback. */
  readonly onBug: (error: unknown) => void;
  readonly patience?: Partial<Patience>;
}

/** ADS between Envoy and the control plane: several Envoys at once, each with its own upstream stream. */
export interface AdsProxy {
  /** Binds the socket; what speaks the protocol is loaded after that, while callers wait in the kernel's queue. */
  listen(): Promise<void>;
  status(): XdsStatus;
  /** Told to the control plane on every stream, now and later. */
  setApplicationHealth(health: ApplicationHealth): void;
  /** Connects once and hangs up: undefined when the control plane can be reached and trusted now, or why not. */
  probe(): Promise<string | undefined>;
  close(): Promise<void>;
}

const defaultPatience: Patience = { hold: 20_000, firstAnswer: 60_000, beforeTokenEnd: 60_000 };

export function createAdsProxy(deps: AdsProxyDeps): AdsProxy {
  const { config, clock, log } = deps;
  const streams = new Map<number, ProxyStream>();
  const configured = new Map<number | undefined, ConfiguredEnvoy>();
  const backoff = new Backoff(clock, deps.random);
  let listener: UnixListener | undefined;
  let server: GrpcServer | undefined;
  let loading: Promise<GrpcServer> | undefined;
  let reachable: XdsStatus["reachable"] = "unknown";
  let upstreamReason = "";
  let health: ApplicationHealth | undefined;
  let turnedAway = 0;
  let ids = 0;

  const streamDeps: ProxyStreamDeps = {
    config,
    clock,
    backoff,
    log,
    metrics: deps.metrics,
    hooks: deps.hooks,
    patience: { ...defaultPatience, ...deps.patience },
    health: () => health,
    stuck: { inRow: 0 },
    onBug: deps.onBug,
    onReceived: (pid, typeUrl) => {
      if (typeUrl !== typeUrls.cluster && typeUrl !== typeUrls.listener) return;
      const before = configured.get(pid) ?? { pid, clusters: false, listeners: false };
      configured.delete(pid);
      configured.set(pid, {
        pid,
        clusters: before.clusters || typeUrl === typeUrls.cluster,
        listeners: before.listeners || typeUrl === typeUrls.listener,
      });
      // A few lives of Envoy are enough; more would be kept for nothing.
      for (const old of configured.keys()) if (configured.size > 8) configured.delete(old);
    },
    onUpstream: (reason) => {
      reachable = reason === undefined ? "yes" : "no";
      upstreamReason = reason ?? "";
    },
  };

  const load = async (): Promise<GrpcServer> => {
    const [{ createGrpcServer }, { ProxyStream: Stream }] = await Promise.all([
      import("../protocol/grpc-server.ts"),
      import("./proxy-stream.ts"),
    ]);
    server = createGrpcServer({
      onBug: deps.onBug,
      route: (path) => {
        const variant = variants.get(path);
        if (variant === undefined) return undefined;
        return (call) => {
          ids += 1;
          const id = ids;
          const pid = peerOf(call.socket as Parameters<typeof peerOf>[0])?.pid;
          log.info("Envoy asks for its configuration", { stream: id, pid, variant });
          const stream = new Stream(streamDeps, call, { id, pid, variant }, () => {
            streams.delete(id);
          });
          streams.set(id, stream);
          stream.start();
        };
      },
    });
    return server;
  };

  const mayAsk = (socket: Parameters<typeof peerOf>[0]): boolean => {
    const peer = peerOf(socket);
    if (peer === undefined || peer.uid === 0 || peer.uid === effectiveUid()) return true;
    turnedAway += 1;
    log.warn("somebody else asked for configuration and was turned away", { uid: peer.uid, pid: peer.pid });
    return false;
  };

  return {
    async listen() {
      listener = await listenUnix(config.xdsSocket, {
        mode: 0o600,
        onSocket: (socket) => {
          socket.on("error", () => undefined);
          if (!mayAsk(socket)) {
            socket.destroy();
            return;
          }
          loading ??= load();
          loading.then((one) => one.accept(socket), deps.onBug);
        },
      });
    },
    status: () => ({
      listening: listener !== undefined,
      upstream: `${config.xds.host}:${config.xds.port}`,
      reachable,
      reason: upstreamReason,
      failures: backoff.failures,
      configured: [...configured.values()],
      streams: [...streams.values()].map((one) => one.status()),
      turnedAway,
    }),
    setApplicationHealth(next) {
      health = next;
      for (const one of streams.values()) one.sendHealth(next);
    },
    async probe() {
      const { probeUpstream } = await import("./upstream.ts");
      const error = await probeUpstream(config, clock);
      return error === undefined ? undefined : describeError(error);
    },
    async close() {
      await listener?.close();
      listener = undefined;
      await loading?.catch(() => undefined);
      for (const one of streams.values()) one.close();
      server?.close();
    },
  };
}

const variants: ReadonlyMap<string, "sotw" | "delta"> = new Map([
  [paths.streamAggregated, "sotw"],
  [paths.deltaAggregated, "delta"],
]);
