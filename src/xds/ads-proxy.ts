import type { ControlPlaneConfig } from "../config/control-plane-config.ts";
import { describeError } from "../foundation/errors.ts";
import type { Log } from "../foundation/log.ts";
import type { Clock } from "../foundation/time.ts";
import type { GrpcServer, RawCall } from "../protocol/grpc-server.ts";
import { paths, typeUrls } from "../protocol/names.ts";
import { markInOneGo } from "../system/memory-return.ts";
import { peerOf } from "../system/network.ts";
import { effectiveUid } from "../system/process.ts";
import { listenUnix, type UnixListener } from "../system/unix-sockets.ts";
import type { Variant } from "./discovery-reading.ts";
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
  /**
   * Connects once and hangs up: undefined when the control plane can be reached and trusted now and serves
   * the streams that are there, or why not.
   */
  probe(): Promise<string | undefined>;
  close(): Promise<void>;
}

const defaultPatience: Patience = { hold: 20_000, firstAnswer: 60_000, beforeTokenEnd: 60_000 };

export const createAdsProxy = (deps: AdsProxyDeps): AdsProxy => new ForwardingProxy(deps);

type PeerSocket = Parameters<typeof peerOf>[0];

class ForwardingProxy implements AdsProxy {
  readonly #deps: AdsProxyDeps;
  readonly #streams = new Map<number, ProxyStream>();
  readonly #configured = new Map<number | undefined, ConfiguredEnvoy>();
  readonly #backoff: Backoff;
  readonly #streamDeps: ProxyStreamDeps;
  #listener: UnixListener | undefined;
  #server: GrpcServer | undefined;
  #loading: Promise<GrpcServer> | undefined;
  #reachable: XdsStatus["reachable"] = "unknown";
  #reason = "";
  /** The reason is what it said over a connection, and not that there was none. */
  #refused = false;
  #health: ApplicationHealth | undefined;
  #turnedAway = 0;
  #ids = 0;

  constructor(deps: AdsProxyDeps) {
    this.#deps = deps;
    this.#backoff = new Backoff(deps.clock, deps.random);
    const { config, clock, log, metrics, hooks, onBug } = deps;
    this.#streamDeps = {
      ...{ config, clock, log, metrics, hooks, onBug },
      backoff: this.#backoff,
      patience: { ...defaultPatience, ...deps.patience },
      health: () => this.#health,
      stuck: { inRow: 0 },
      onUpstream: (reason, how) => {
        this.#refused = reason !== undefined && how === undefined;
        this.#reachable = reason === undefined ? "yes" : "no";
        this.#reason = reason ?? "";
      },
      onReceived: (pid, typeUrl) => this.#received(pid, typeUrl),
    };
  }

  async listen(): Promise<void> {
    const { xdsSocket, sds } = this.#deps.config;
    this.#listener = await listenUnix(xdsSocket, {
      mode: sds.uids.length > 0 ? 0o666 : 0o600,
      onSocket: (socket) => this.#accept(socket),
    });
  }

  status(): XdsStatus {
    const { xds } = this.#deps.config;
    return {
      listening: this.#listener !== undefined,
      upstream: `${xds.host}:${xds.port}`,
      reachable: this.#reachable,
      reason: this.#reason,
      failures: this.#backoff.failures,
      configured: [...this.#configured.values()],
      streams: [...this.#streams.values()].map((one) => one.status()),
      turnedAway: this.#turnedAway,
    };
  }

  setApplicationHealth(health: ApplicationHealth): void {
    this.#health = health;
    for (const one of this.#streams.values()) one.sendHealth(health);
  }

  async probe(): Promise<string | undefined> {
    const { probeUpstream } = await import("./upstream.ts");
    const error = await probeUpstream(this.#deps.config, this.#deps.clock);
    if (error !== undefined) return describeError(error);
    // It takes connections, whatever hindered the last one; what it said over that to the Envoy that is there counts.
    return this.#refused ? this.#reason : undefined;
  }

  async close(): Promise<void> {
    await this.#listener?.close();
    this.#listener = undefined;
    await this.#loading?.catch(() => undefined);
    for (const one of this.#streams.values()) one.close();
    this.#server?.close();
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
    const peer = peerOf(socket);
    // Who may have the keys may have the configuration.
    const others = this.#deps.config.sds.uids;
    if (peer === undefined || peer.uid === 0 || peer.uid === effectiveUid() || others.includes(peer.uid)) return true;
    this.#turnedAway += 1;
    const { uid, pid } = peer;
    this.#deps.log.warn("somebody else asked for configuration and was turned away", { uid, pid });
    return false;
  }

  async #load(): Promise<GrpcServer> {
    markInOneGo();
    const [{ createGrpcServer }, { ProxyStream: Stream }] = await Promise.all([
      import("../protocol/grpc-server.ts"),
      import("./proxy-stream.ts"),
    ]);
    this.#server = createGrpcServer({
      onBug: this.#deps.onBug,
      route: (path) => {
        const variant = variants.get(path);
        return variant === undefined ? undefined : (call) => this.#open(Stream, call, variant);
      },
    });
    return this.#server;
  }

  #open(Stream: typeof ProxyStream, call: RawCall, variant: Variant): void {
    this.#ids += 1;
    const id = this.#ids;
    const pid = peerOf(call.socket as PeerSocket)?.pid;
    this.#deps.log.info("Envoy asks for its configuration", { stream: id, pid, variant });
    const stream = new Stream(this.#streamDeps, call, { id, pid, variant }, () => {
      this.#streams.delete(id);
    });
    this.#streams.set(id, stream);
    stream.start();
  }

  #received(pid: number | undefined, typeUrl: string): void {
    if (typeUrl !== typeUrls.cluster && typeUrl !== typeUrls.listener) return;
    if (typeUrl === typeUrls.listener) this.#deps.hooks.onListeners?.();
    const before = this.#configured.get(pid) ?? { pid, clusters: false, listeners: false };
    this.#configured.delete(pid);
    this.#configured.set(pid, {
      pid,
      clusters: before.clusters || typeUrl === typeUrls.cluster,
      listeners: before.listeners || typeUrl === typeUrls.listener,
    });
    // A few lives of Envoy are enough; more would be kept for nothing.
    for (const old of this.#configured.keys()) if (this.#configured.size > 8) this.#configured.delete(old);
  }
}

const variants: ReadonlyMap<string, Variant> = new Map([
  [paths.streamAggregated, "sotw"],
  [paths.deltaAggregated, "delta"],
]);
