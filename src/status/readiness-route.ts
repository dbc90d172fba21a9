import type { JsonObject } from "../config/agent-config.ts";
import { isTrusted } from "./peer.ts";
import type { Readiness, Verdict } from "./readiness.ts";
import { replyJson, replyText, wantsJson } from "./respond.ts";
import type { Exchange, Route } from "./routes.ts";

/**
 * GET /healthz/ready: 200, or 503 with the first reason as text. JSON when asked for. All contributors, as text with
 * `?verbose` or in the JSON, are for callers of this pod only. A plain 200 is empty, as the peer's.
 */
export const readinessRoute = (readiness: Readiness): Route => ({
  path: "/healthz/ready",
  method: "GET",
  access: "everybody",
  limit: 10_000,
  atOnce: Number.POSITIVE_INFINITY,
  serve: async (exchange) => answer(exchange, await readiness.judge()),
});

function answer({ request, response, query, peer }: Exchange, verdict: Verdict): void {
  const status = verdict.ready ? 200 : 503;
  const all = isTrusted(peer);
  if (wantsJson(request, query)) return replyJson(response, status, verdictJson(verdict, all));
  if (all && query.has("verbose")) return replyText(response, status, verboseText(verdict));
  replyText(response, status, verdict.ready ? "" : `not ready: ${verdict.reason}\n`);
}

export function verdictJson(verdict: Verdict, all: boolean): JsonObject {
  const { ready, reason, contributors } = verdict;
  return { ready, reason, ...(all ? { contributors: contributors.map((one) => ({ ...one })) } : {}) };
}

/** One line a contributor, the way `kubectl get --raw /readyz?verbose` shows it. */
export function verboseText({ ready, contributors }: Verdict): string {
  const lines = contributors.map(
    ({ name, ready: ok, text }) => `[${ok ? "+" : "-"}] ${name}${text === "" ? "" : `: ${text}`}`,
  );
  return [...lines, ready ? "ready" : "not ready", ""].join("\n");
}
