import type { AgentConfig } from "../config/agent-config.ts";
import { describeError } from "../foundation/errors.ts";
import type { Log } from "../foundation/log.ts";
import type { Clock } from "../foundation/time.ts";
import { dialProbe } from "../system/probe-connection.ts";
import type { ProbeClient } from "../system/probe-http.ts";
import { type AppProber, type AppProbers, type GrpcProber, type HttpProber, readAppProbers } from "./app-probers.ts";
import { HEALTH_CHECK, healthRequest, notServing } from "./grpc-health.ts";
import { isTrusted } from "./peer.ts";
import { afterAnswer, firstRequest } from "./probe-request.ts";
import { reply, replyText } from "./respond.ts";
import type { Exchange, Route } from "./routes.ts";

export interface AppProbesDeps {
  readonly probers: AppProbers;
  /** The pod's main address: there the application is asked, as the kubelet would. */
  readonly podAddress: string;
  /** Our own port: a Host that names it means the application's. */
  readonly statusPort: number | undefined;
  /** REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION, ISTIO_ENABLE_HTTP2_PROBING, ENABLE_PROBE_KEEPALIVE_CONNECTIONS. */
  readonly legacyLocalhost: boolean;
  readonly http2: boolean;
  readonly keepAlive: boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/** Settings from a configuration. Throws InvalidConfig when its table of probes can't be used. */
export function appProbesDeps(config: ProbesConfig, clock: Clock, log: Log): AppProbesDeps {
  const { http2 = true, legacyLocalhost = false, keepAlive = false } = config.probes ?? {};
  return {
    probers: readAppProbers(config.appProbers),
    podAddress: config.node.ipAddresses[0] ?? "127.0.0.1",
    statusPort: config.ports.status,
    legacyLocalhost,
    http2,
    keepAlive,
    clock,
    log,
  };
}

export type ProbesConfig = Pick<AgentConfig, "appProbers" | "node" | "ports" | "probes">;

export interface AppProbes {
  readonly routes: readonly Route[];
  /** Lets kept connections go. */
  close(): void;
}

/** As much of an application's answer as the kubelet reads. */
const BODY_LIMIT = 10 * 1024;
/** A HealthCheckResponse has two bytes. */
const GRPC_LIMIT = 64 * 1024;
/** Probes in work at once; a pod has a handful, a flood of them is not passed on to the application. */
const PROBES_AT_ONCE = 64;
const HOOKS_AT_ONCE = 16;

interface Outcome {
  readonly status: number;
  readonly body: Buffer;
}

/** The application said no, or nothing; becomes a 500. */
class ProbeFailed extends Error {
  override readonly name = "ProbeFailed";
}

/**
 * GET /app-health/… and /app-lifecycle/…: the application's own probe or hook, carried out from inside the pod so that
 * the kubelet sees what it would have seen without mutual TLS and capture in between (features.md PROBE-1 to PROBE-3).
 */
export function createAppProbes(deps: AppProbesDeps): AppProbes {
  const { family, destination } = destinationOf(deps);
  let opened: Promise<ProbeClient> | undefined;
  const client = () => {
    opened ??= openClient(deps.keepAlive);
    return opened;
  };
  const dial = (port: number) => ({ host: destination, port, source: family === "v6" ? "::6" : "127.0.0.6" });
  const context: Context = { deps, client, dial, hostname: deps.legacyLocalhost ? "localhost" : deps.podAddress };
  const told = new ProbeLog(deps.log);
  const route = (path: string, atOnce: number): Route => ({
    path,
    method: "GET",
    access: "everybody",
    limit: undefined,
    atOnce,
    serve: (exchange) => serveProbe(exchange, context, told),
  });
  return {
    routes: [route("/app-health/", PROBES_AT_ONCE), route("/app-lifecycle/", HOOKS_AT_ONCE)],
    close: () => {
      void opened?.then((one) => one.close());
    },
  };
}

/** Loaded with the first probe: TLS and HTTP/2 cost megabytes that a pod without probes keeps. */
async function openClient(keepAlive: boolean): Promise<ProbeClient> {
  const { ProbeClient } = await import("../system/probe-http.ts");
  return new ProbeClient(keepAlive);
}

interface Context {
  readonly deps: AppProbesDeps;
  readonly client: () => Promise<ProbeClient>;
  readonly dial: (port: number) => { readonly host: string; readonly port: number; readonly source: string };
  readonly hostname: string;
}

function destinationOf({ podAddress, legacyLocalhost }: AppProbesDeps) {
  const family = podAddress.includes(":") && !/^fe[89ab]/i.test(podAddress) ? "v6" : "v4";
  const loopback = family === "v6" ? "::1" : "127.0.0.1";
  return { family, destination: legacyLocalhost ? loopback : podAddress };
}

async function serveProbe(exchange: Exchange, context: Context, told: ProbeLog): Promise<void> {
  const { path, response, peer } = exchange;
  const prober = context.deps.probers.get(path);
  if (prober === undefined) return replyText(response, 400, `app prober config does not exists for ${path}`);
  try {
    const { status, body } = await carryOut(prober, exchange, context);
    told.hear(path, status < 400 ? undefined : `it answered ${status}`);
    reply(response, { status, body });
  } catch (error) {
    const why = describeError(error);
    told.hear(path, why);
    // The network learns no more than the peer tells it; who stands in the pod may know.
    replyText(response, 500, isTrusted(peer) ? `the probe failed: ${why}\n` : "");
  }
}

async function carryOut(prober: AppProber, exchange: Exchange, context: Context): Promise<Outcome> {
  const stop = new AbortController();
  const onGone = () => stop.abort(new ProbeFailed("the caller has gone"));
  exchange.gone.addEventListener("abort", onGone);
  const { timeout } = prober;
  const late = () => stop.abort(new ProbeFailed(`no answer within ${timeout} ms`));
  const cancel = timeout === undefined ? undefined : context.deps.clock.after(timeout, late);
  try {
    return await actions[prober.kind](prober as never, exchange, context, stop.signal);
  } finally {
    cancel?.();
    exchange.gone.removeEventListener("abort", onGone);
  }
}

type Action<P> = (prober: P, exchange: Exchange, context: Context, signal: AbortSignal) => Promise<Outcome>;

const good: Outcome = { status: 200, body: Buffer.alloc(0) };

const httpAction: Action<HttpProber> = async (prober, { request }, { deps, client, dial, hostname }, signal) => {
  const caller = { rawHeaders: request.rawHeaders, host: request.headers.host };
  let next = firstRequest(prober, hostname, caller, deps.statusPort ?? 0);
  for (let made = 1; ; made++) {
    const { target, host, headers } = next;
    const answer = await (await client()).get({
      dial: dial(target.port),
      scheme: target.scheme,
      http2: deps.http2,
      path: target.path,
      host,
      headers,
      bodyLimit: BODY_LIMIT,
      signal,
    });
    const step = afterAnswer(next, answer.status, answer.location, made);
    if (step.is === "success") return good;
    if (step.is === "failure") throw new ProbeFailed(step.why);
    if (step.is === "final") return finalOutcome(answer);
    next = step.request;
  }
};

/** A status that no answer of ours can have is no answer. */
function finalOutcome({ status, body }: Outcome): Outcome {
  if (status < 200 || status > 999) throw new ProbeFailed(`it answered ${status}`);
  return { status, body };
}

const tcpAction: Action<AppProber> = async ({ port }, _exchange, { dial }, signal) => {
  const socket = await dialProbe({ ...dial(port), signal });
  socket.destroy();
  return good;
};

const grpcAction: Action<GrpcProber> = async (prober, { request }, { dial }, signal) => {
  const { callUnary } = await import("../system/probe-grpc.ts");
  const answer = await callUnary({
    dial: dial(prober.port),
    path: HEALTH_CHECK,
    userAgent: request.headers["user-agent"],
    timeout: prober.timeout ?? 1_000,
    message: healthRequest(prober.service),
    limit: GRPC_LIMIT,
    signal,
  });
  const why = notServing(answer);
  if (why !== undefined) throw new ProbeFailed(why);
  return good;
};

const actions = { http: httpAction, tcp: tcpAction, grpc: grpcAction } as const;

/** Tells a probe's failure once, and its recovery; the peer's line a probe drowns everything else. */
class ProbeLog {
  readonly #failing = new Map<string, string>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  hear(path: string, failure: string | undefined): void {
    const known = this.#failing.get(path);
    if (failure === undefined) {
      if (this.#failing.delete(path)) this.#log.info("The application's probe succeeds again", { path });
      return;
    }
    this.#failing.set(path, failure);
    if (known === undefined) this.#log.warn("The application's probe fails", { path, reason: failure });
    else if (known !== failure) this.#log.debug("The application's probe still fails", { path, reason: failure });
  }
}
