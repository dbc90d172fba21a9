import type { IncomingMessage, ServerResponse } from "node:http";
import type { AgentConfig, Json, JsonObject } from "../config/agent-config.ts";
import { describeError, errorCode, Unavailable } from "../foundation/errors.ts";
import type { Log } from "../foundation/log.ts";
import type { Clock } from "../foundation/time.ts";
import { peerOf } from "../system/network.ts";
import { effectiveUid } from "../system/process.ts";
import { claimSocketPath, protectSocket } from "../system/unix-socket.ts";
import { appProbesDeps, createAppProbes, type ProbesConfig } from "./app-probes.ts";
import { type Ask, controlRoutes } from "./control-routes.ts";
import { debugRoutes } from "./debug-routes.ts";
import { Dispatcher } from "./dispatcher.ts";
import { type Caller, HttpFront } from "./http-front.ts";
import { plainAddress, socketPeer, tcpPeer } from "./peer.ts";
import { type Contributor, Readiness, type Verdict } from "./readiness.ts";
import { readinessRoute } from "./readiness-route.ts";
import type { Exchange, Route } from "./routes.ts";
import { type StatusPage, statusRoute } from "./status-route.ts";

/** Answers a request by itself, streaming if it likes; what it throws becomes a 500 or a cut connection. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

export interface StatusDeps {
  readonly config: Pick<AgentConfig, "bootstrap" | "loopbackControl" | "profiling"> & ProbesConfig;
  readonly clock: Clock;
  readonly log: Log;
  /** Who has a say in readiness, the most telling first. */
  readonly contributors: readonly Contributor[];
  /** Hears what every readiness probe is told, for the metrics. */
  readonly onVerdict?: (verdict: Verdict) => void;
  readonly ask: Ask;
  /** GET /metrics: our own. */
  readonly serveMetrics: Handler;
  /** GET /stats/prometheus: ours, Envoy's and the application's. */
  readonly serveMerged: Handler;
  /** GET /debug/config; secrets are already taken out. */
  readonly debugConfig: () => JsonObject;
  /** GET /debug/ndsz. */
  readonly nameTable?: () => Json | undefined;
  /** GET /status; without it there is no such page. */
  readonly page?: StatusPage;
  readonly onBug: (error: unknown) => void;
}

export interface StatusServer {
  /** On every interface and in both families. Throws Unavailable when the port can't be had; nothing without a port. */
  listen(): Promise<void>;
  /** The same routes on a unix socket, for us and root only. Throws Unavailable. */
  listenUnix(path: string): Promise<void>;
  /** Ends within about a second; no socket, timer or file is left. */
  close(): Promise<void>;
  readonly readiness: Readiness;
}

/** Scrapers come in pairs at most; ten leave room for a person and hold the memory of ten merges. */
const SCRAPES_AT_ONCE = 10;
/** Prometheus' own longest sensible scrape timeout is below this. */
const SCRAPE_LIMIT = 120_000;

/**
 * The server of port 15020 and of `pilotfish.sock`. Nothing listens before `listen`. Throws InvalidConfig when the
 * table of application probes can't be used.
 */
export function createStatusServer(deps: StatusDeps): StatusServer {
  const { clock, log, onBug } = deps;
  const readiness = new Readiness(deps);
  const probes = createAppProbes(appProbesDeps(deps.config, clock, log.scoped("probes")));
  const page = deps.page === undefined ? [] : [statusRoute(deps.page, readiness, clock)];
  const routes = [...statusRoutes(deps, readiness), ...probes.routes, ...page];
  const dispatcher = new Dispatcher({ clock, log, routes });
  const serve = dispatcher.serve.bind(dispatcher);
  const loopback = deps.config.loopbackControl ?? true;
  const tcp = new HttpFront({ clock, log, onBug, serve, callerOf: (socket) => tcpCaller(socket, loopback) });
  const unix = new HttpFront({ clock, log, onBug, serve, callerOf: unixCaller });
  return {
    readiness,
    listen: () => listenEverywhere(tcp, deps.config.ports.status, log),
    listenUnix: (path) => listenUnix(unix, path),
    close: async () => {
      await Promise.all([tcp.close(), unix.close()]);
      probes.close();
    },
  };
}

function statusRoutes(deps: StatusDeps, readiness: Readiness): readonly Route[] {
  const access = deps.config.bootstrap.metricsLocalhostOnly ? "trusted" : "everybody";
  const metrics = (path: string, handler: Handler): Route => ({
    path,
    method: "GET",
    access,
    limit: SCRAPE_LIMIT,
    atOnce: SCRAPES_AT_ONCE,
    serve: ({ request, response }: Exchange) => handler(request, response),
  });
  return [
    readinessRoute(readiness),
    metrics("/metrics", deps.serveMetrics),
    metrics("/stats/prometheus", deps.serveMerged),
    ...controlRoutes(deps.ask, deps.clock),
    ...debugRoutes({ ...deps, profiling: deps.config.profiling }),
  ];
}

/** `::` takes IPv4 too; where the kernel has no IPv6, only that is left. */
async function listenEverywhere(front: HttpFront, port: number | undefined, log: Log): Promise<void> {
  if (port === undefined) return;
  try {
    await front.listen({ port, host: "::" }).catch((error: unknown) => {
      if (!["EAFNOSUPPORT", "EADDRNOTAVAIL", "EINVAL"].includes(errorCode(error) ?? "")) throw error;
      return front.listen({ port, host: "0.0.0.0" });
    });
    log.info("Serving status", { port });
  } catch (error) {
    const advice =
      errorCode(error) === "EACCES"
        ? "choose a port above 1023 with --statusPort"
        : "stop the process that holds it, or choose another with --statusPort";
    throw new Unavailable(`cannot listen on port ${port}: ${describeError(error)}; ${advice}`, { cause: error });
  }
}

async function listenUnix(front: HttpFront, path: string): Promise<void> {
  await claimSocketPath(path);
  const listening = front.listen({ path });
  // Node binds within the call: no other turn of this process, and hardly one of another, comes in between.
  if (front.server.listening) protectSocket(path);
  await listening.catch((error: unknown) => {
    throw new Unavailable(`cannot listen on "${path}": ${describeError(error)}; use another --configPath`, {
      cause: error,
    });
  });
}

function tcpCaller(socket: IncomingMessage["socket"], loopbackControl: boolean): Caller {
  const { remoteAddress } = socket;
  const peer = tcpPeer(remoteAddress);
  const from = remoteAddress === undefined ? "somebody who has gone" : plainAddress(remoteAddress);
  return {
    peer: loopbackControl ? peer : "network",
    near: peer === "loopback",
    from,
  };
}

function unixCaller(socket: IncomingMessage["socket"]): Caller {
  const credentials = peerOf(socket);
  return {
    peer: socketPeer(credentials, effectiveUid()),
    near: true,
    from: credentials === undefined ? "the unix socket" : `process ${credentials.pid} of uid ${credentials.uid}`,
  };
}
