import type { Clock } from "../foundation/time.ts";
import type { Readiness } from "./readiness.ts";
import { reply, replyJson, replyText, wantsJson } from "./respond.ts";
import type { Exchange, Route } from "./routes.ts";
import { type StatusDocument, statusJson } from "./status-document.ts";
import { PAGE_HEADERS, statusHtml } from "./status-html.ts";
import { readinessSection } from "./status-sections.ts";
import { statusText } from "./status-text.ts";

/** How often an open page asks again, s; `?refresh=0` stops it. */
const REFRESH_S = 5;
const SLOWEST_REFRESH_S = 3_600;

/** What `/status` shows beside readiness, and under which name; asked anew each time, must not take long. */
export interface StatusPage {
  readonly title: string;
  readonly sections: () => StatusDocument | Promise<StatusDocument>;
}

/** GET /status, for callers of this pod: HTML for a browser, JSON when asked for, text for everybody else. */
export const statusRoute = (page: StatusPage, readiness: Readiness, clock: Clock): Route => ({
  path: "/status",
  method: "GET",
  access: "trusted",
  limit: 10_000,
  atOnce: 4,
  serve: async (exchange) => {
    const verdict = await readiness.judge();
    const document = [readinessSection(verdict), ...(await page.sections())];
    answer(exchange, document, page.title, clock);
  },
});

function answer({ request, response, query }: Exchange, document: StatusDocument, title: string, clock: Clock): void {
  if (wantsJson(request, query)) return replyJson(response, 200, statusJson(document));
  const html = query.get("format") === "html" || /\btext\/html\b/i.test(request.headers.accept ?? "");
  if (!html || query.get("format") === "text") {
    return replyText(response, 200, statusText(document, { colour: query.has("colour") }));
  }
  const body = statusHtml(document, { title, at: clock.wall(), refresh: refreshOf(query) });
  reply(response, { status: 200, body, type: "text/html; charset=utf-8", headers: PAGE_HEADERS });
}

function refreshOf(query: URLSearchParams): number | undefined {
  const text = query.get("refresh") ?? String(REFRESH_S);
  const seconds = /^\d{1,4}$/.test(text) ? Number(text) : REFRESH_S;
  return seconds === 0 ? undefined : Math.min(seconds, SLOWEST_REFRESH_S);
}
