import type { IncomingMessage, ServerResponse } from "node:http";
import type { AgentConfig } from "../config/agent-config.ts";
import type { Log } from "../foundation/log.ts";
import type { Clock } from "../foundation/time.ts";
import { turnOfTheLoop } from "../system/turn.ts";
import type { AgentMetrics } from "./agent-metrics.ts";
import type { SourceResult } from "./scrape-report.ts";
import { type EnvoyStats, refusalOf, type Source } from "./scrape-sources.ts";
import type { FailureCause } from "./tally.ts";

export type { EnvoyStats } from "./scrape-sources.ts";

export interface MergedMetricsDeps {
  readonly config: AgentConfig;
  readonly metrics: AgentMetrics;
  readonly clock: Clock;
  readonly log: Log;
  /** Told of every scrape that reached its end, for the status page. */
  readonly onReport?: (results: readonly SourceResult[]) => void;
  /**
   * What we ourselves ask Envoy for the sake of a scrape. Its statistics are asked for, and our own metrics printed, when
   * it is over.
   */
  readonly ownReading?: () => Promise<unknown>;
  /** Undefined while there is no Envoy to ask. */
  readonly envoy: () => EnvoyStats | undefined;
}

/** Answers one request, whatever happens; never rejects. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** Each scrape needs up to some megabytes; more at once than this is no scraper's need. */
const MOST_SCRAPES = 8;

/** GET /metrics: what we know of ourselves, and nothing else. */
export function serveOwnMetrics(metrics: AgentMetrics): Handler {
  return async (_request, response) => {
    const page = await metrics.text();
    response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
    response.end(page);
  };
}

/**
 * GET /stats/prometheus: the agent, Envoy and the application on one page that is valid whatever they say. The merge
 * is loaded with the first scrape.
 */
export function serveMergedMetrics(deps: MergedMetricsDeps): Handler {
  const { config, log, metrics } = deps;
  for (const target of config.metrics.targets) {
    const why = refusalOf(target, config);
    if (why !== undefined)
      log.warn("A target of prometheus.io annotations is not scraped", { target: `${target.port}${target.path}`, why });
  }
  const told = stateChanges(log);
  let running = 0;
  return async (request, response) => {
    if (running >= MOST_SCRAPES) {
      metrics.count("pilotfish_scrapes_refused_total");
      response.writeHead(503, { "content-type": "text/plain", "retry-after": "1" });
      response.end(`${MOST_SCRAPES} scrapes are under way; try again\n`);
      return;
    }
    running++;
    try {
      await answer(deps, request, response, told);
    } catch (error) {
      log.debug("A scrape was not finished", { error });
      response.destroy();
    } finally {
      running--;
    }
  };
}

async function answer(
  { config, metrics, clock, envoy, log, onReport, ownReading }: MergedMetricsDeps,
  request: IncomingMessage,
  response: ServerResponse,
  told: (source: Source, failure: FailureCause | undefined, text: string) => void,
): Promise<void> {
  const { prepareScrape } = await import("./prepare-scrape.ts");
  metrics.count("istio_agent_scrapes_total");
  const gone = new AbortController();
  response.once("close", () => gone.abort(new Error("the scraper is gone")));
  // Nobody may be left with a promise that rejects: the scraper's page does not depend on this.
  const begin = ownReading?.().catch((error: unknown) => log.error("internal error: cannot read of Envoy", { error }));
  const run = prepareScrape({ config, envoy: envoy(), request, response });
  await run({
    clock,
    turn: turnOfTheLoop,
    begin,
    own: async () => {
      await begin;
      return metrics.text();
    },
    signal: gone.signal,
    onReport,
    onOwnFailure: (error) => {
      metrics.count("istio_agent_scrape_failures_total", { type: "agent" });
      log.error("internal error: cannot print our own metrics", { error });
    },
    onResult: (source, failure, text) => {
      told(source, failure, text);
      if (failure === undefined) return;
      metrics.count("istio_agent_scrape_failures_total", { type: source.type });
      metrics.count("pilotfish_scrape_source_failures_total", { source: source.label, cause: failure });
    },
  });
}

/** One line when a source begins to fail, fails for another reason, or is back. */
function stateChanges(log: Log): (source: Source, failure: FailureCause | undefined, text: string) => void {
  const last = new Map<string, FailureCause>();
  return ({ label }, failure, text) => {
    if (last.get(label) === failure) return;
    if (failure === undefined) {
      last.delete(label);
      log.info("A source of the merged metrics is back", { source: label });
    } else {
      last.set(label, failure);
      log.warn("A source of the merged metrics is not wholly on the page", {
        source: label,
        cause: failure,
        why: text,
      });
    }
  };
}
