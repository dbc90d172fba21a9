import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { AgentConfig } from "../config/agent-config.ts";
import type { Log } from "../foundation/log.ts";
import type { Clock } from "../foundation/time.ts";
import type { HttpTarget } from "../system/http-client.ts";
import { openHttpStream } from "../system/http-stream.ts";
import type { AgentMetrics } from "./agent-metrics.ts";

/** Where Envoy's statistics are served, for example 127.0.0.1:15090 and /stats/prometheus. */
export interface EnvoyStats {
  readonly to: HttpTarget;
  readonly path: string;
}

export interface MergedMetricsDeps {
  readonly config: AgentConfig;
  readonly metrics: AgentMetrics;
  readonly clock: Clock;
  readonly log: Log;
  /** Undefined while there is no Envoy to ask. */
  readonly envoy: () => EnvoyStats | undefined;
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

const TEXT = "text/plain; version=0.0.4; charset=utf-8";

/** GET /metrics: what we know of ourselves, and nothing else. */
export function serveOwnMetrics(metrics: AgentMetrics): Handler {
  return async (_request, response) => {
    const page = await metrics.text();
    response.writeHead(200, { "content-type": TEXT });
    response.end(page);
  };
}

/** GET /stats/prometheus: the agent, Envoy and the application on one page. A source that fails is left out. */
export function serveMergedMetrics(deps: MergedMetricsDeps): Handler {
  return async (request, response) => {
    deps.metrics.count("istio_agent_scrapes_total");
    const gzip = /\bgzip\b/.test(request.headers["accept-encoding"] ?? "");
    response.writeHead(200, { "content-type": TEXT, ...(gzip ? { "content-encoding": "gzip" } : {}) });
    const page = mergedPage(deps, request);
    try {
      await (gzip ? pipeline(page, createGzip({ level: 1 }), response) : pipeline(page, response));
    } catch (error) {
      deps.log.debug("A scrape ended before its page did", { error });
      response.destroy();
    }
  };
}

interface Source extends EnvoyStats {
  readonly type: "envoy" | "application";
}

async function* mergedPage(deps: MergedMetricsDeps, request: IncomingMessage): AsyncGenerator<Buffer> {
  yield Buffer.from(await deps.metrics.text());
  const stop = new AbortController();
  const limit = (Number(request.headers["x-prometheus-scrape-timeout-seconds"]) || 10) * 950;
  const disarm = deps.clock.after(limit, () => stop.abort(new Error(`no answer within ${limit} ms`)));
  const query = /\?.*$/.exec(request.url ?? "")?.[0] ?? "";
  try {
    for (const source of sourcesOf(deps, query)) yield* onePart(deps, source, request, stop.signal);
  } finally {
    disarm();
    stop.abort(new Error("the scrape is over"));
  }
}

function sourcesOf({ config, envoy }: MergedMetricsDeps, query: string): readonly Source[] {
  const stats = config.metrics.mergeEnvoy ? envoy() : undefined;
  const ofEnvoy: readonly Source[] =
    stats === undefined ? [] : [{ type: "envoy", to: stats.to, path: `${stats.path}${query}` }];
  return [
    ...ofEnvoy,
    ...config.metrics.targets.map(({ port, path }) => ({
      type: "application" as const,
      to: { host: "127.0.0.1", port },
      path,
    })),
  ];
}

async function* onePart(
  { metrics, log }: MergedMetricsDeps,
  source: Source,
  request: IncomingMessage,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const timeout = request.headers["x-prometheus-scrape-timeout-seconds"];
  const headers = {
    accept: "text/plain;version=0.0.4",
    ...(typeof timeout === "string" ? { "x-prometheus-scrape-timeout-seconds": timeout } : {}),
  };
  try {
    const stream = await openHttpStream({ to: source.to, path: source.path, headers, signal });
    if (stream.status !== 200) throw new Error(`it answered ${stream.status}`);
    let last = 10;
    for await (const piece of stream.body()) {
      last = piece.at(-1) ?? last;
      yield piece;
    }
    if (last !== 10) yield Buffer.from("\n");
  } catch (error) {
    metrics.count("istio_agent_scrape_failures_total", { type: source.type });
    log.debug("A source of the merged metrics failed", { source: source.type, error });
    yield Buffer.from("\n");
  }
}
