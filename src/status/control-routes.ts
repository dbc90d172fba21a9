import type { Json } from "../config/agent-config.ts";
import { type Clock, within } from "../foundation/time.ts";
import { reply, replyJson, replyText } from "./respond.ts";
import type { Exchange, Route } from "./routes.ts";

/** What a caller of this pod may ask the agent for. */
export type Wish =
  /** `drain`: let connections end first. */
  | { readonly ask: "quit"; readonly drain: boolean; readonly from: string }
  | { readonly ask: "drain"; readonly from: string }
  | RestartWish;

export interface RestartWish {
  readonly ask: "hot-restart";
  readonly strategy: "auto" | "swap";
  /** Go on although the memory does not suffice for two Envoys. */
  readonly ignoreMemory: boolean;
  readonly from: string;
}

/** What became of a wish for a new Envoy. */
export type RestartReport =
  | {
      readonly is: "restarted";
      readonly by: "hot-restart" | "swap";
      readonly epoch: number;
      /** Milliseconds from the request to the new Envoy serving. */
      readonly took: number;
    }
  | { readonly is: "unchanged" }
  | { readonly is: "refused" | "failed" | "overtaken"; readonly why: string };

/**
 * Posts the wish; the answer says only whether it will be done, not that it was. `settled` resolves when it is known
 * what became of it, and never rejects.
 */
export type Ask = (
  wish: Wish,
) => "accepted" | { readonly refused: string } | { readonly settled: Promise<RestartReport> };

/** A refusal that is known at once is the answer; everything else takes longer and is told by ?wait or /status. */
const AT_ONCE = 50;

/** POST /quitquitquit, /drain, /hot-restart: from this pod only. 409 with the reason when the agent refuses. */
export function controlRoutes(ask: Ask, clock: Clock): readonly Route[] {
  const control = (path: string, wish: (exchange: Exchange) => Wish): Route => ({
    ...order,
    path,
    limit: 10_000,
    serve: (exchange) => answer(ask(wish(exchange)), exchange, clock),
  });
  return [
    control("/quitquitquit", ({ from, query }) => ({ ask: "quit", drain: query.has("drain"), from })),
    control("/drain", ({ from }) => ({ ask: "drain", from })),
    {
      ...order,
      path: "/hot-restart",
      // With ?wait it ends when the restart does, which may take minutes, or when the caller goes.
      limit: undefined,
      serve: (exchange) => {
        const wish = restartWish(exchange);
        if (typeof wish === "string") return replyText(exchange.response, 400, wish);
        return answer(ask(wish), exchange, clock);
      },
    },
  ];
}

const order = { method: "POST", access: "trusted", atOnce: 16 } as const satisfies Partial<Route>;

/** `?strategy=auto|swap`, `?ignore-memory`; what is wrong with them, as text. */
function restartWish({ query, from }: Exchange): RestartWish | string {
  const strategy = query.get("strategy") ?? "auto";
  if (strategy !== "auto" && strategy !== "swap") return `strategy "${strategy}" can't be used; use auto or swap\n`;
  const ignore = query.get("ignore-memory") ?? "false";
  if (!["", "true", "false"].includes(ignore)) return `ignore-memory "${ignore}" can't be used; use true or false\n`;
  return { ask: "hot-restart", strategy, ignoreMemory: ignore !== "false", from };
}

async function answer(answered: ReturnType<Ask>, { response, query, gone }: Exchange, clock: Clock): Promise<void> {
  if (answered === "accepted") return replyText(response, 200, "OK");
  if ("refused" in answered) return replyText(response, 409, `refused: ${answered.refused}\n`);
  if (query.has("wait") && query.get("wait") !== "false") {
    const report = await untilGone(answered.settled, gone);
    if (report !== undefined) replyJson(response, statusOf(report), reportJson(report));
    return;
  }
  const soon = await within(clock, AT_ONCE, answered.settled);
  if (soon.timedOut) return reply(response, { status: 202, body: "accepted\n" });
  replyText(response, statusOf(soon.value), `${reportText(soon.value)}\n`);
}

/** Undefined when the caller hung up first: the restart goes on without it. */
function untilGone<T>(work: Promise<T>, gone: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const leave = (): void => resolve(undefined);
    gone.addEventListener("abort", leave, { once: true });
    work.then((value) => {
      gone.removeEventListener("abort", leave);
      resolve(value);
    }, reject);
  });
}

/** 409: nothing was touched; 500: it was tried. */
const statusOf = (report: RestartReport): number =>
  report.is === "failed" ? 500 : report.is === "refused" || report.is === "overtaken" ? 409 : 200;

function reportJson(report: RestartReport): Json {
  switch (report.is) {
    case "restarted":
      return { outcome: report.is, by: report.by, epoch: report.epoch, seconds: report.took / 1_000 };
    case "unchanged":
      return { outcome: report.is };
    case "refused":
    case "failed":
    case "overtaken":
      return { outcome: report.is, why: report.why };
  }
}

function reportText(report: RestartReport): string {
  switch (report.is) {
    case "restarted":
      return `${report.by === "swap" ? "swap" : "hot restart"} done: epoch ${report.epoch} serves`;
    case "unchanged":
      return "unchanged: Envoy would be started with the same";
    case "refused":
    case "failed":
    case "overtaken":
      return `${report.is}: ${report.why}`;
  }
}
