import { replyText } from "./respond.ts";
import type { Exchange, Route } from "./routes.ts";

/** What a caller of this pod may ask the agent for. */
export type Wish =
  /** `drain`: let connections end first. */
  | { readonly ask: "quit"; readonly drain: boolean; readonly from: string }
  | { readonly ask: "drain"; readonly from: string }
  | { readonly ask: "hot-restart"; readonly from: string };

/** Posts the wish; the answer says only whether it will be done, not that it was. */
export type Ask = (wish: Wish) => "accepted" | { readonly refused: string };

/** POST /quitquitquit, /drain, /hot-restart: from this pod only. 409 with the reason when the agent refuses. */
export function controlRoutes(ask: Ask): readonly Route[] {
  const control = (path: string, wish: (exchange: Exchange) => Wish): Route => ({
    path,
    method: "POST",
    access: "trusted",
    limit: 10_000,
    atOnce: 16,
    serve(exchange) {
      const answer = ask(wish(exchange));
      if (answer === "accepted") replyText(exchange.response, 200, "OK");
      else replyText(exchange.response, 409, `refused: ${answer.refused}\n`);
    },
  });
  return [
    control("/quitquitquit", ({ from, query }) => ({ ask: "quit", drain: query.has("drain"), from })),
    control("/drain", ({ from }) => ({ ask: "drain", from })),
    control("/hot-restart", ({ from }) => ({ ask: "hot-restart", from })),
  ];
}
