import type { ControlPlaneConfig } from "../config/control-plane-config.ts";
import { describeError } from "../foundation/errors.ts";
import type { Log } from "../foundation/log.ts";
import { type Clock, type Millis, pause } from "../foundation/time.ts";
import { hasNewProof, proofName } from "../identity/upstream-credentials.ts";
import { begin, finish, type RawCall } from "../protocol/grpc-server.ts";
import { grpcStatus, statusName } from "../protocol/grpc-status.ts";
import { shortType, typeUrls } from "../protocol/names.ts";
import { giveMemoryBackSoon } from "../system/memory-return.ts";
import type { RequestFacts, ResponseFacts, Variant } from "./discovery-reading.ts";
import { RequestForwarder, ResponseForwarder } from "./forwarders.ts";
import { type ApplicationHealth, OwnTypes, type XdsHooks } from "./own-types.ts";
import { type Backoff, watchdogDelay } from "./reconnect.ts";
import { isFirstWildcard, StreamRecord } from "./stream-record.ts";
import { Timers } from "./timers.ts";
import { openUpstream, type UpstreamStream } from "./upstream.ts";
import { listenForEnd, type UpstreamEnd } from "./upstream-end.ts";
import type { XdsMetrics } from "./xds-metrics.ts";
import type { StreamStatus } from "./xds-status.ts";

export interface Patience {
  /** Envoy's stream is kept while we try to connect, so long at most. */
  readonly hold: Millis;
  /** Envoy's first wildcard request stays unanswered so long at most. */
  readonly firstAnswer: Millis;
  /** A stream is renewed so long before its token ends; and so often is looked for a new token. */
  readonly beforeTokenEnd: Millis;
}

export interface ProxyStreamDeps {
  readonly config: ControlPlaneConfig;
  readonly clock: Clock;
  readonly backoff: Backoff;
  readonly log: Log;
  readonly metrics: XdsMetrics;
  readonly hooks: XdsHooks;
  readonly patience: Patience;
  readonly health: () => ApplicationHealth | undefined;
  /** Tells what is known of the control plane now: undefined when all is well. "unconnected": it did not say that itself. */
  readonly onUpstream: (reason: string | undefined, how?: "unconnected") => void;
  /** Envoy of that pid has got a response of this type. */
  readonly onReceived: (pid: number | undefined, typeUrl: string) => void;
  /** Watchdog renewals in a row, over all streams. */
  readonly stuck: { inRow: number };
  readonly onBug: (error: unknown) => void;
}

export interface StreamFacts {
  readonly id: number;
  readonly pid: number | undefined;
  readonly variant: Variant;
}

const LARGE = 4 * 1024 * 1024;

/** Envoy's stream and the one to the control plane that belongs to it. `onClosed`: nothing of it is left. */
export class ProxyStream {
  readonly #deps: ProxyStreamDeps;
  readonly #call: RawCall;
  readonly #facts: StreamFacts;
  readonly #onClosed: () => void;
  readonly #address: string;
  readonly #record = new StreamRecord();
  readonly #stopped = new AbortController();
  readonly #timers: Timers;
  readonly #own: OwnTypes;
  #state: StreamStatus["state"] = "connecting";
  #reason = "connecting to the control plane";
  #since: Millis;
  #upstream: UpstreamStream | undefined;
  #requests: RequestForwarder | undefined;
  #subscribed = false;

  constructor(deps: ProxyStreamDeps, call: RawCall, facts: StreamFacts, onClosed: () => void) {
    this.#deps = deps;
    this.#call = call;
    this.#facts = facts;
    this.#onClosed = onClosed;
    this.#address = `${deps.config.xds.host}:${deps.config.xds.port}`;
    this.#since = deps.clock.monotonic();
    this.#timers = new Timers(deps.clock);
    this.#own = new OwnTypes(facts.variant, deps.hooks, deps.log, (message) => this.#requests?.inject(message));
  }

  /** Connects and forwards until one side ends it. */
  start(): void {
    const { stream } = this.#call;
    stream.once("close", () => {
      if (this.#state === "closed") return;
      const orderly = stream.rstCode === 0 || stream.rstCode === 8;
      this.#deps.metrics.envoyTermination(orderly ? "cancelled" : "error");
      this.#end(grpcStatus.cancelled, "Envoy ended the stream");
    });
    this.#connect().catch((error: unknown) => {
      this.#deps.onBug(error);
      this.#end(grpcStatus.internal, "internal error");
    });
  }

  status(): StreamStatus {
    return {
      ...this.#facts,
      state: this.#state,
      since: this.#since,
      reason: this.#reason,
      receivedClusters: this.#record.received(typeUrls.cluster),
      receivedListeners: this.#record.received(typeUrls.listener),
      types: this.#record.status(),
    };
  }

  sendHealth(health: ApplicationHealth): void {
    if (this.#subscribed) this.#own.sendHealth(health);
  }

  close(): void {
    this.#end(grpcStatus.unavailable, "the agent stops");
  }

  /** Whatever ends the stream comes here; the first reason counts. */
  #end(code: number, text: string): void {
    if (this.#state === "closed") return;
    this.#enter("closed", text);
    this.#stopped.abort();
    this.#timers.disarmAll();
    finish(this.#call.stream, code, text);
    this.#upstream?.close();
    this.#onClosed();
  }

  #enter(state: StreamStatus["state"], reason: string): void {
    this.#state = state;
    this.#reason = reason;
    this.#since = this.#deps.clock.monotonic();
  }

  async #connect(): Promise<void> {
    const { clock, backoff, config, patience } = this.#deps;
    const { signal } = this.#stopped;
    const giveUpAt = clock.monotonic() + patience.hold;
    while (this.#state === "connecting") {
      await pause(clock, backoff.wait(), signal);
      if (signal.aborted) return;
      try {
        const upstream = await openUpstream(config, this.#call.path, this.#call.headers, clock);
        if (signal.aborted) upstream.close();
        else this.#join(upstream);
      } catch (error) {
        if (!signal.aborted) this.#failedToConnect(error, giveUpAt);
      }
    }
  }

  #failedToConnect(error: unknown, giveUpAt: Millis): void {
    const { backoff, metrics, log, clock, onUpstream } = this.#deps;
    backoff.failed();
    metrics.upstreamFailure();
    this.#reason = `cannot reach the control plane at ${this.#address}: ${describeError(error)}`;
    onUpstream(this.#reason, "unconnected");
    // The first and then ever fewer: the reason stands in the status all the time.
    if (backoff.failures <= 3 || backoff.failures % 20 === 0)
      log.warn("cannot reach the control plane", { address: this.#address, error, failures: backoff.failures });
    if (clock.monotonic() >= giveUpAt) this.#end(grpcStatus.unavailable, this.#reason);
  }

  /** Bytes in both directions, each side waiting for the other. */
  #join(upstream: UpstreamStream): void {
    this.#upstream = upstream;
    this.#enter("open", "waiting for the first answer");
    const [down, up] = [this.#call.stream, upstream.stream];
    const requests = new RequestForwarder(
      this.#facts.variant,
      (bytes) => {
        if (!up.destroyed && !up.writableEnded && !up.write(bytes)) down.pause();
      },
      (facts) => this.#onRequest(facts),
    );
    this.#requests = requests;
    const responses = this.#responses(upstream);
    up.on("drain", () => down.resume());
    up.on("data", (chunk: Buffer) => responses.push(chunk));
    down.on("data", (chunk: Buffer) => requests.push(chunk));
    down.once("end", () => up.end());
    listenForEnd(
      upstream,
      this.#address,
      (headers) => begin(down, headers),
      (end) => this.#onUpstreamEnd(end),
    );
    this.#renewBeforeTokenEnd(upstream);
  }

  #responses({ stream: up }: UpstreamStream): ResponseForwarder {
    const down = this.#call.stream;
    let blocked = false;
    down.on("drain", () => {
      if (!blocked) up.resume();
    });
    return new ResponseForwarder(this.#facts.variant, {
      send: (bytes) => {
        if (!down.destroyed && !down.writableEnded && !down.write(bytes)) up.pause();
      },
      onForwarded: (facts) => this.#onForwarded(facts),
      onKept: (facts, message) => {
        this.#deps.metrics.response();
        this.#own.take(facts, message);
      },
      rewrite: (typeUrl) => this.#rewriteOf(typeUrl),
      onBlocked: () => {
        blocked = true;
        up.pause();
      },
      onUnblocked: () => {
        blocked = false;
        if (!down.writableNeedDrain) up.resume();
      },
      onBroken: (why) => this.#end(grpcStatus.internal, why),
    });
  }

  #rewriteOf(typeUrl: string): ((message: Buffer) => Promise<Buffer>) | undefined {
    const { rewriteExtensions } = this.#deps.hooks;
    if (typeUrl !== typeUrls.extensionConfig || rewriteExtensions === undefined) return undefined;
    return (message) => rewriteExtensions(message, this.#facts.variant);
  }

  #onRequest(request: RequestFacts): void {
    const { metrics, log, health } = this.#deps;
    metrics.request(request.size);
    const refused = this.#record.request(request);
    const type = shortType(request.typeUrl);
    const { names, nonce, size } = request;
    log.debug("request", { stream: this.#facts.id, type, names, nonce, bytes: size });
    if (refused !== undefined) {
      metrics.reject(type);
      log.warn("Envoy refused a configuration", { type, text: refused });
    }
    if (isFirstWildcard(request)) this.#watch(request.typeUrl);
    if (request.typeUrl !== typeUrls.listener || this.#subscribed) return;
    this.#subscribed = true;
    this.#own.subscribe();
    const known = health();
    if (known !== undefined) this.#own.sendHealth(known);
  }

  /** The progress watchdog: silence after the first answer is normal, before it it is not. */
  #watch(typeUrl: string): void {
    const { stuck, backoff, log, metrics, onUpstream, patience } = this.#deps;
    const limit = watchdogDelay(patience.firstAnswer, stuck.inRow);
    const type = shortType(typeUrl);
    this.#timers.arm(`answer ${typeUrl}`, limit, () => {
      stuck.inRow += 1;
      backoff.failed();
      log.warn("the control plane does not answer; the stream is renewed", { type, address: this.#address, limit });
      onUpstream(`no answer to ${type} within ${limit} ms`);
      metrics.upstreamTermination("error");
      this.#end(grpcStatus.unavailable, `the control plane at ${this.#address} gave no ${type} within ${limit} ms`);
    });
  }

  #onForwarded(response: ResponseFacts): void {
    const { metrics, backoff, stuck, clock, log, onUpstream, onReceived } = this.#deps;
    const { typeUrl, version, resources, size } = response;
    metrics.response();
    this.#record.response(response);
    this.#timers.disarm(`answer ${typeUrl}`);
    backoff.succeeded();
    stuck.inRow = 0;
    onUpstream(undefined);
    onReceived(this.#facts.pid, typeUrl);
    this.#reason = "";
    if (size > LARGE) giveMemoryBackSoon(clock);
    log.debug("response", { stream: this.#facts.id, type: shortType(typeUrl), version, resources, bytes: size });
  }

  /** The control plane's end of it: its status reaches Envoy as it is. */
  #onUpstreamEnd({ code, text }: UpstreamEnd): void {
    if (this.#state === "closed") return;
    const { metrics, backoff, log, onUpstream } = this.#deps;
    const orderly = code === grpcStatus.ok || code === grpcStatus.cancelled;
    metrics.upstreamTermination(orderly ? "cancelled" : "error");
    // A stream that brought nothing counts like a connection that failed.
    const brought = this.#record.received(typeUrls.cluster) || this.#record.received(typeUrls.listener);
    if (!brought || code !== grpcStatus.ok) backoff.failed();
    onUpstream(code === grpcStatus.ok ? undefined : this.#explained(code, text));
    log.info("the control plane's stream ended", { stream: this.#facts.id, status: statusName(code), text });
    this.#end(code, text);
  }

  /** The control plane only says that it does not accept us; that the token is too old is seen from here. */
  #explained(code: number, text: string): string {
    const credentials = this.#upstream?.credentials;
    const words = `${statusName(code)}: ${text}`;
    if (credentials?.expires === undefined || credentials.expires > this.#deps.clock.wall()) return words;
    if (code !== grpcStatus.unauthenticated) return words;
    return `${proofName(credentials)} expired at ${credentials.expires.toISOString()}; ${words}`;
  }

  /** Before token or client certificate ends, and only when there is another one: without that nothing would be won. */
  #renewBeforeTokenEnd(upstream: UpstreamStream): void {
    const { clock, config, patience, log, metrics } = this.#deps;
    const { credentials } = upstream;
    if (credentials.expires === undefined) return;
    const left = credentials.expires.getTime() - clock.wall().getTime() - patience.beforeTokenEnd;
    const again = Math.min(30_000, patience.beforeTokenEnd);
    this.#timers.arm("token", Math.max(left, again), () => {
      if (!hasNewProof(credentials, config, config.xds, clock.wall())) return this.#renewBeforeTokenEnd(upstream);
      const what = proofName(credentials);
      log.info(`the stream is renewed before its ${what} ends`, { stream: this.#facts.id });
      metrics.upstreamTermination("cancelled");
      this.#end(grpcStatus.unavailable, `the stream is renewed because its ${what} ends soon`);
    });
  }
}
