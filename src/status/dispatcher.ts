import type { IncomingMessage, ServerResponse } from "node:http";
import type { Log } from "../foundation/log.ts";
import type { Clock } from "../foundation/time.ts";
import type { Caller } from "./http-front.ts";
import { fromForeignPage, isTrusted } from "./peer.ts";
import { replyText } from "./respond.ts";
import { allowOf, type Exchange, findRoute, parseTarget, type Route, takes } from "./routes.ts";

export interface DispatcherDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly routes: readonly Route[];
}

/**
 * From a request to its route: target, route (404), access (403), method (405), crowd (503), time (503). In this
 * order, which is the peer's for the last-but-one: whoever may not use a route does not learn its method.
 */
export class Dispatcher {
  readonly #deps: DispatcherDeps;
  readonly #busy = new Map<Route, number>();

  constructor(deps: DispatcherDeps) {
    this.#deps = deps;
  }

  /** Answers one request. Never rejects: an error of a route is a 500 and a line in the log, not our end. */
  async serve(request: IncomingMessage, response: ServerResponse, caller: Caller): Promise<void> {
    try {
      await this.#serve(request, response, caller);
    } catch (error) {
      this.#deps.log.error("internal error in a status route", { path: request.url?.slice(0, 200), error });
      if (response.headersSent) response.destroy();
      else replyText(response, 500, "internal error\n");
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse, caller: Caller): Promise<void> {
    const target = parseTarget(request.url);
    if (target.is === "refused") return replyText(response, target.status, target.text);
    const route = findRoute(this.#deps.routes, target.path);
    if (route === undefined) return replyText(response, 404, "not found\n");
    const refusal = refusalOf(route, request, caller);
    if (refusal !== undefined) return replyText(response, 403, refusal);
    if (!takes(route, request.method)) {
      return replyText(response, 405, "method not allowed\n", { allow: allowOf(route) });
    }
    await this.#run(route, { request, response, ...target, ...caller });
  }

  async #run(route: Route, exchange: Omit<Exchange, "gone">): Promise<void> {
    const { response } = exchange;
    const busy = this.#busy.get(route) ?? 0;
    if (busy >= route.atOnce) return replyText(response, 503, "too many of these at once\n", { "retry-after": "1" });
    const gone = new AbortController();
    const onClose = () => gone.abort();
    response.once("close", onClose);
    const cancel = route.limit === undefined ? undefined : this.#deps.clock.after(route.limit, () => overdue(response));
    this.#busy.set(route, busy + 1);
    try {
      await route.serve({ ...exchange, gone: gone.signal });
      await finished(response);
    } finally {
      cancel?.();
      this.#busy.set(route, (this.#busy.get(route) ?? 1) - 1);
    }
  }
}

/** Why this caller may not use this route; undefined when it may. */
function refusalOf(route: Route, request: IncomingMessage, { peer }: Caller): string | undefined {
  if (route.access === "everybody") return undefined;
  if (route.access === "socket" && peer !== "socket") return "only through the unix socket\n";
  if (!isTrusted(peer)) return "only requests from localhost are allowed\n";
  return fromForeignPage(request.headers) ? "not for other web pages\n" : undefined;
}

/** A route that took too long: an answer if none has begun, else the end of the connection, so that nobody takes half of one for all. */
function overdue(response: ServerResponse): void {
  if (response.headersSent) response.destroy();
  else {
    response.shouldKeepAlive = false;
    replyText(response, 503, "it took too long\n");
  }
}

function finished(response: ServerResponse): Promise<void> {
  if (response.writableFinished || response.closed || response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    response.once("close", () => resolve());
  });
}
