import type { IncomingHttpHeaders } from "node:http2";
import type { ControlPlaneConfig } from "../config/control-plane-config.ts";
import { describeError } from "../foundation/errors.ts";
import type { Log } from "../foundation/log.ts";
import { type Clock, type Millis, pause } from "../foundation/time.ts";
import { readToken } from "../identity/token.ts";
import { begin, finish, type RawCall } from "../protocol/grpc-server.ts";
import { decodeMessage, grpcStatus, statusName } from "../protocol/grpc-status.ts";
import { shortType, typeUrls } from "../protocol/names.ts";
import { giveMemoryBackSoon } from "../system/memory-return.ts";
import type { RequestFacts, ResponseFacts, Variant } from "./discovery-reading.ts";
import { RequestForwarder, ResponseForwarder } from "./forwarders.ts";
import { type ApplicationHealth, OwnTypes, type XdsHooks } from "./own-types.ts";
import { type Backoff, watchdogDelay } from "./reconnect.ts";
import { isFirstWildcard, StreamRecord } from "./stream-record.ts";
import { openUpstream, type UpstreamStream } from "./upstream.ts";
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
  /** Tells what is known of the control plane now: undefined when all is well. */
  readonly onUpstream: (reason: string | undefined) => void;
  /** Watchdog renewals in a row, over all streams. */
  readonly stuck: { inRow: number };
}

/** Envoy's stream and the one to the control plane that belongs to it. */
export interface ProxyStream {
  status(): StreamStatus;
  sendHealth(health: ApplicationHealth): void;
  close(): void;
}

const LARGE = 4 * 1024 * 1024;

/** Starts at once; `onClosed` is called when nothing of it is left. */
export function startProxyStream(
  deps: ProxyStreamDeps,
  call: RawCall,
  facts: { readonly id: number; readonly pid: number | undefined; readonly variant: Variant },
  onClosed: () => void,
): ProxyStream {
  const { clock, config, metrics, backoff } = deps;
  const { variant } = facts;
  const log = deps.log;
  const address = `${config.xds.host}:${config.xds.port}`;
  const record = new StreamRecord();
  const stopped = new AbortController();
  const timers = new Map<string, () => void>();
  let state: StreamStatus["state"] = "connecting";
  let reason = "connecting to the control plane";
  let since = clock.monotonic();
  let upstream: UpstreamStream | undefined;
  let requests: RequestForwarder | undefined;
  let subscribed = false;

  const enter = (next: StreamStatus["state"], why: string): void => {
    state = next;
    reason = why;
    since = clock.monotonic();
  };
  const arm = (name: string, delay: Millis, fire: () => void): void => {
    timers.get(name)?.();
    timers.set(name, clock.after(delay, fire));
  };
  const disarm = (name: string): void => {
    timers.get(name)?.();
    timers.delete(name);
  };

  /** Whatever ends the stream comes here, once. */
  const end = (code: number, text: string): void => {
    if (state === "closed") return;
    enter("closed", text);
    stopped.abort();
    for (const cancel of timers.values()) cancel();
    finish(call.stream, code, text);
    upstream?.close();
    onClosed();
  };

  const own = new OwnTypes(variant, deps.hooks, log, (message) => requests?.inject(message));

  const onRequest = (request: RequestFacts): void => {
    metrics.request();
    const refused = record.request(request);
    const type = shortType(request.typeUrl);
    log.debug("request", { stream: facts.id, type, names: request.names, nonce: request.nonce, bytes: request.size });
    if (refused !== undefined) {
      metrics.reject(type);
      log.warn("Envoy refused a configuration", { type, text: refused });
    }
    if (isFirstWildcard(request)) watch(request.typeUrl);
    if (request.typeUrl !== typeUrls.listener || subscribed) return;
    subscribed = true;
    own.subscribe();
    const health = deps.health();
    if (health !== undefined) own.sendHealth(health);
  };

  /** The progress watchdog: silence after the first answer is normal, before it it is not. */
  const watch = (typeUrl: string): void => {
    const limit = watchdogDelay(deps.patience.firstAnswer, deps.stuck.inRow);
    arm(`answer ${typeUrl}`, limit, () => {
      const type = shortType(typeUrl);
      deps.stuck.inRow += 1;
      backoff.failed();
      log.warn("the control plane does not answer; the stream is renewed", { type, address, after: limit });
      deps.onUpstream(`no answer to ${type} within ${limit} ms`);
      metrics.upstreamTermination("error");
      end(grpcStatus.unavailable, `the control plane at ${address} gave no ${type} within ${limit} ms`);
    });
  };

  const onForwarded = (response: ResponseFacts): void => {
    metrics.response();
    record.response(response);
    disarm(`answer ${response.typeUrl}`);
    backoff.succeeded();
    deps.stuck.inRow = 0;
    deps.onUpstream(undefined);
    reason = "";
    if (response.size > LARGE) giveMemoryBackSoon(clock);
    log.debug("response", {
      stream: facts.id,
      type: shortType(response.typeUrl),
      version: response.version,
      resources: response.resources,
      bytes: response.size,
    });
  };

  /** Bytes in both directions, each side waiting for the other. */
  const join = (to: UpstreamStream): void => {
    const [down, up] = [call.stream, to.stream];
    let blocked = false;
    requests = new RequestForwarder(
      variant,
      (bytes) => {
        if (!up.destroyed && !up.writableEnded && !up.write(bytes)) down.pause();
      },
      onRequest,
    );
    const responses = new ResponseForwarder(variant, {
      send: (bytes) => {
        if (!down.destroyed && !down.writableEnded && !down.write(bytes)) up.pause();
      },
      onForwarded,
      onKept: (response, message) => {
        metrics.response();
        own.take(response, message);
      },
      rewrite: (typeUrl) => {
        const { rewriteExtensions } = deps.hooks;
        return typeUrl === typeUrls.extensionConfig && rewriteExtensions !== undefined
          ? (message) => rewriteExtensions(message, variant)
          : undefined;
      },
      onBlocked: () => {
        blocked = true;
        up.pause();
      },
      onUnblocked: () => {
        blocked = false;
        if (!down.writableNeedDrain) up.resume();
      },
      onBroken: (why) => end(grpcStatus.internal, why),
    });
    up.on("drain", () => down.resume());
    down.on("drain", () => {
      if (!blocked) up.resume();
    });
    up.on("data", (chunk: Buffer) => responses.push(chunk));
    down.on("data", (chunk: Buffer) => requests?.push(chunk));
    down.once("end", () => up.end());

    listenForEnd(to);
  };

  /** The control plane's end of it: its status reaches Envoy as it is. */
  const listenForEnd = ({ stream: up }: UpstreamStream): void => {
    let trailers: IncomingHttpHeaders | undefined;
    let lost: unknown;
    up.once("response", (headers) => {
      if (headers["grpc-status"] !== undefined) trailers = headers;
      else if (headers[":status"] !== 200) lost = new Error(`it answered with HTTP status ${headers[":status"]}`);
      else begin(call.stream, passedOn(headers));
    });
    up.once("trailers", (headers) => {
      trailers = headers;
    });
    up.on("error", (error) => {
      lost = error;
    });
    const settle = (): void => {
      if (state === "closed") return;
      const code = trailers === undefined ? grpcStatus.unavailable : Number(trailers["grpc-status"] ?? 2);
      const text =
        trailers === undefined
          ? `the connection to the control plane at ${address} was lost${lost === undefined ? "" : `: ${describeError(lost)}`}`
          : decodeMessage(String(trailers["grpc-message"] ?? ""));
      metrics.upstreamTermination(code === grpcStatus.ok || code === grpcStatus.cancelled ? "cancelled" : "error");
      // A stream that brought nothing counts like a connection that failed.
      const brought = record.received(typeUrls.cluster) || record.received(typeUrls.listener);
      if (!brought || code !== grpcStatus.ok) backoff.failed();
      const why = code === grpcStatus.ok ? "the control plane ended the stream" : `${statusName(code)}: ${text}`;
      deps.onUpstream(code === grpcStatus.ok ? undefined : why);
      log.info("the control plane's stream ended", { stream: facts.id, address, status: statusName(code), text });
      end(code, text);
    };
    // After its trailers nothing can come; "close" would wait for our own half.
    up.once("end", () => {
      if (trailers !== undefined) settle();
    });
    up.once("close", settle);
  };

  /** Before the token ends, and only when the file holds another one: without that nothing would be won. */
  const renewBeforeTokenEnd = (to: UpstreamStream): void => {
    const { expires, token } = to.credentials;
    if (expires === undefined) return;
    const left = expires.getTime() - clock.wall().getTime() - deps.patience.beforeTokenEnd;
    arm("token", Math.max(left, Math.min(1_000, deps.patience.beforeTokenEnd)), () => {
      const next = token === undefined ? undefined : readToken(config.tokenPath);
      const mayWait = token !== undefined && (next === undefined || next.text === token.text);
      if (mayWait) {
        arm("token", Math.min(30_000, deps.patience.beforeTokenEnd), () => renewBeforeTokenEnd(to));
        return;
      }
      log.info("the stream is renewed before its token ends", { stream: facts.id });
      metrics.upstreamTermination("cancelled");
      end(grpcStatus.unavailable, "the stream is renewed because its token ends soon");
    });
  };

  const connect = async (): Promise<void> => {
    const giveUpAt = clock.monotonic() + deps.patience.hold;
    while (state === "connecting") {
      await pause(clock, backoff.wait(), stopped.signal);
      if (stopped.signal.aborted) return;
      try {
        const to = await openUpstream(config, call.path, call.headers, clock);
        if (stopped.signal.aborted) return to.close();
        upstream = to;
        enter("open", "waiting for the first answer");
        join(to);
        renewBeforeTokenEnd(to);
        return;
      } catch (error) {
        if (stopped.signal.aborted) return;
        failedToConnect(error, giveUpAt);
      }
    }
  };

  const failedToConnect = (error: unknown, giveUpAt: Millis): void => {
    backoff.failed();
    metrics.upstreamFailure();
    reason = `cannot reach the control plane at ${address}: ${describeError(error)}`;
    deps.onUpstream(reason);
    if (backoff.failures <= 3 || backoff.failures % 20 === 0)
      log.warn("cannot reach the control plane", { address, error, failures: backoff.failures });
    if (clock.monotonic() >= giveUpAt) end(grpcStatus.unavailable, reason);
  };

  call.stream.once("close", () => {
    if (state === "closed") return;
    metrics.envoyTermination(call.stream.rstCode === 0 || call.stream.rstCode === 8 ? "cancelled" : "error");
    end(grpcStatus.cancelled, "Envoy ended the stream");
  });
  if (call.stream.destroyed) end(grpcStatus.cancelled, "Envoy ended the stream");
  else
    connect().catch((error: unknown) => {
      log.error("internal error", { where: "ADS proxy", error });
      end(grpcStatus.internal, "internal error");
    });

  return {
    status: () => ({
      ...facts,
      state,
      since,
      reason,
      receivedClusters: record.received(typeUrls.cluster),
      receivedListeners: record.received(typeUrls.listener),
      types: record.status(),
    }),
    sendHealth: (health) => {
      if (subscribed) own.sendHealth(health);
    },
    close: () => end(grpcStatus.unavailable, "the agent stops"),
  };
}

/** Metadata of the control plane that Envoy may want to see. */
const passedOn = (headers: IncomingHttpHeaders): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      name.startsWith(":") || name === "content-type" || typeof value !== "string" ? [] : [[name, value]],
    ),
  );
