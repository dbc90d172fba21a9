import { createServer as createPlainServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer, type Server as TlsServer } from "node:https";
import { describeError, errorCode, Unavailable } from "../foundation/errors.ts";
import type { Log } from "../foundation/log.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import type { InjectorConfig } from "./injector-config.ts";
import type { JsonObject } from "./json-value.ts";
import { answerReview, configForPath } from "./review.ts";
import { WebhookMetrics } from "./webhook-metrics.ts";

export interface WebhookLimits {
  /** Longest body, in bytes. The API server sends 3 MiB at most. */
  readonly body: number;
  /** For a whole request to arrive. */
  readonly time: Millis;
  readonly connections: number;
}

export interface WebhookOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Port of /healthz and /metrics without TLS; undefined: not there. */
  readonly monitoringPort: number | undefined;
  readonly limits: WebhookLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** Asked for every request, so that a changed file counts at once. */
  readonly config: () => InjectorConfig;
}

export interface TlsMaterial {
  /** PEM, leaf first. */
  readonly certificate: string;
  readonly key: string;
  /** When the leaf ends. */
  readonly ends: Date;
}

export interface Webhook {
  readonly port: number;
  readonly monitoringPort: number | undefined;
  /** New connections get the new certificate. */
  renew(tls: TlsMaterial): void;
  /** Accepts nothing more, finishes what has begun, at most `patience`. */
  stop(patience: Millis): Promise<void>;
}

/** Listens; rejects with Unavailable when it cannot. */
export async function startWebhook(options: WebhookOptions, tls: TlsMaterial): Promise<Webhook> {
  const metrics = new WebhookMetrics();
  const budget: Budget = { left: BODIES_AT_ONCE * options.limits.body };
  const handle = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    serve(incoming, outgoing, options, metrics, budget).catch((error: unknown) => {
      options.log.error("internal error", { where: "webhook", error });
      outgoing.destroy();
    });
  };
  const bounds = {
    headersTimeout: options.limits.time,
    requestTimeout: options.limits.time,
    connectionsCheckingInterval: 1_000,
  };
  const server = createServer({ ...bounds, cert: tls.certificate, key: tls.key, minVersion: "TLSv1.2" }, handle);
  guard(server, options);
  metrics.certificateEnds(tls.ends.getTime() / 1_000);
  const port = await listen(server, options.port, options.host);
  const monitoring = options.monitoringPort === undefined ? undefined : createPlainServer(bounds, monitor(metrics));
  let monitoringPort: number | undefined;
  if (monitoring !== undefined) {
    guard(monitoring, options);
    monitoringPort = await listen(monitoring, options.monitoringPort ?? 0, options.host).catch((error: unknown) => {
      server.close();
      throw error;
    });
  }
  return {
    port,
    monitoringPort,
    renew: (next) => {
      server.setSecureContext({ cert: next.certificate, key: next.key, minVersion: "TLSv1.2" });
      metrics.certificateEnds(next.ends.getTime() / 1_000);
    },
    stop: async (patience) => {
      const servers = monitoring === undefined ? [server] : [server, monitoring];
      await Promise.all(servers.map((one) => closed(one, patience, options.clock)));
    },
  };
}

/** So many bodies of the greatest length may be held at once. */
const BODIES_AT_ONCE = 16;

/** What a stranger does on a socket must not reach anybody else, and not the log either: he could fill it. */
function guard(server: Server | TlsServer, options: WebhookOptions): void {
  server.maxConnections = options.limits.connections;
  server.keepAliveTimeout = 60_000;
  server.on("tlsClientError", (error: Error) => options.log.debug("a client did not get through TLS", { error }));
}

function listen(server: Server | TlsServer, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      const what =
        errorCode(error) === "EADDRINUSE" ? "choose another with --port or --monitoringPort" : "check the address";
      reject(new Unavailable(`cannot listen on ${host}:${port}: ${describeError(error)}; ${what}`));
    });
    server.listen({ port, host }, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

function closed(server: Server | TlsServer, patience: Millis, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(patience, () => server.closeAllConnections());
    server.close(() => {
      cancel();
      resolve();
    });
    server.closeIdleConnections();
  });
}

function monitor(metrics: WebhookMetrics): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
  return (incoming, outgoing) => {
    incoming.resume();
    const path = incoming.url?.split("?")[0];
    if (incoming.method !== "GET") return plain(outgoing, 405, "only GET is answered here\n");
    if (path === "/healthz") return plain(outgoing, 200, "ok\n");
    if (path !== "/metrics") return plain(outgoing, 404, "there are /healthz and /metrics\n");
    plain(outgoing, 200, metrics.page(), "text/plain; version=0.0.4; charset=utf-8");
  };
}

function plain(outgoing: ServerResponse, status: number, text: string, type = "text/plain; charset=utf-8"): void {
  outgoing.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(text) });
  outgoing.end(text);
}

async function serve(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  options: WebhookOptions,
  metrics: WebhookMetrics,
  budget: Budget,
): Promise<void> {
  // A client that goes away is no error of ours.
  outgoing.on("error", () => undefined);
  incoming.on("error", () => undefined);
  const path = incoming.url ?? "";
  if (path === "/healthz") {
    incoming.resume();
    return plain(outgoing, 200, "ok\n");
  }
  const config = configForPath(path, options.config());
  const refusal = refusalOf(incoming, config !== undefined, options.limits);
  if (refusal !== undefined || config === undefined) return turnAway(incoming, outgoing, refusal ?? notFound, metrics);
  const text = await bodyOf(incoming, options.limits.body, budget);
  if (text === "cut-off") return;
  if (text === "busy") return turnAway(incoming, outgoing, busy, metrics);
  if (text === "too-long") return turnAway(incoming, outgoing, tooLong(options.limits), metrics);
  const started = options.clock.monotonic();
  const { status, body, outcome } = answerReview(text, config);
  metrics.reviewed(outcome, options.clock.monotonic() - started);
  options.log[outcome.result === "injected" || outcome.result === "skipped" ? "debug" : "warn"]("review", {
    ...outcome,
  });
  sendJson(outgoing, status, body);
}

interface Refusal {
  readonly status: number;
  readonly why: string;
}

const busy: Refusal = { status: 503, why: "too many large reviews at once; try again" };
const notFound: Refusal = { status: 404, why: "reviews go to /inject" };
const tooLong = (limits: WebhookLimits): Refusal => ({
  status: 413,
  why: `the body has more than ${limits.body} bytes`,
});

/** Everything that can be said before the body is read. */
function refusalOf(incoming: IncomingMessage, found: boolean, limits: WebhookLimits): Refusal | undefined {
  if (!found) return notFound;
  if (incoming.method !== "POST") return { status: 405, why: "a review is sent with POST" };
  const [type = ""] = (incoming.headers["content-type"] ?? "").split(";");
  if (type.trim().toLowerCase() !== "application/json") {
    return { status: 415, why: `content type "${type.trim()}" is not application/json` };
  }
  const encoding = incoming.headers["content-encoding"] ?? "identity";
  if (encoding !== "identity")
    return { status: 415, why: `content encoding "${encoding}" is not read here; send it plain` };
  return Number(incoming.headers["content-length"] ?? 0) > limits.body ? tooLong(limits) : undefined;
}

/** So much of a body that is not wanted is taken and thrown away, so that its sender gets to read the answer. */
const PASSED_OVER = 16 * 1024 * 1024;

/**
 * Node closes the connection with the answer, and a client that is still sending would see that and not the answer. So
 * a body whose length is known and bearable is passed over first; the time for a request bounds that too.
 */
function turnAway(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  refusal: Refusal,
  metrics: WebhookMetrics,
): void {
  metrics.turnedAway(refusal.status);
  const { socket } = incoming;
  outgoing.setHeader("connection", "close");
  const say = (): void => {
    if (!outgoing.writableEnded) sendJson(outgoing, refusal.status, { error: `cannot inject: ${refusal.why}` });
  };
  const coming = Number(incoming.headers["content-length"] ?? 0);
  const wait = refusal.status !== busy.status && coming > 0 && coming <= PASSED_OVER && !incoming.readableEnded;
  let left = PASSED_OVER;
  incoming.on("data", (part: Buffer) => {
    left -= part.length;
    if (left < 0) socket.destroy();
  });
  if (wait) incoming.once("end", say);
  else say();
  incoming.resume();
}

function sendJson(outgoing: ServerResponse, status: number, body: JsonObject): void {
  const text = JSON.stringify(body);
  outgoing.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
  outgoing.end(text);
}

/** Bytes of bodies that have come so far, of all requests together: many slow clients must not fill the memory. */
interface Budget {
  left: number;
}

/**
 * The whole body as text. "too-long" and "busy": nothing more is read for now; "cut-off": the client went away.
 * Whatever comes of it, its bytes are given back.
 */
function bodyOf(incoming: IncomingMessage, limit: number, budget: Budget): Promise<string> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    let size = 0;
    const finish = (text: string): void => {
      incoming.off("data", collect);
      budget.left += size;
      size = 0;
      parts.length = 0;
      resolve(text);
    };
    const collect = (part: Buffer): void => {
      const why = size + part.length > limit ? "too-long" : part.length > budget.left ? "busy" : undefined;
      if (why === undefined) {
        size += part.length;
        budget.left -= part.length;
        parts.push(part);
        return;
      }
      incoming.pause();
      finish(why);
    };
    incoming.on("data", collect);
    incoming.once("end", () => finish(Buffer.concat(parts, size).toString("utf8")));
    incoming.once("close", () => finish("cut-off"));
  });
}
