import type { IncomingMessage, ServerResponse } from "node:http";
import type { AgentConfig } from "../config/agent-config.ts";
import { agreeOnCoding, agreeOnForm } from "./negotiate.ts";
import { PageOutput } from "./page-output.ts";
import { PageWriter } from "./page-writer.ts";
import { type ScrapeDeps, scrape } from "./scrape.ts";
import { budgetOf, type EnvoyStats, sourcesOf } from "./scrape-sources.ts";

export interface Wish {
  readonly config: AgentConfig;
  readonly envoy: EnvoyStats | undefined;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

type Rest = Pick<ScrapeDeps, "clock" | "turn" | "begin" | "own" | "signal" | "onResult" | "onReport" | "onOwnFailure">;

/** Reads what the scraper wants, answers the head, and gives the scrape that is to be run. */
export function prepareScrape({ config, envoy, request, response }: Wish): (rest: Rest) => Promise<void> {
  const agreed = agreeOnForm(header(request, "accept"));
  const coding = agreeOnCoding(header(request, "accept-encoding"));
  const query = /\?(.*)$/s.exec(request.url ?? "")?.[1] ?? "";
  response.writeHead(200, {
    "content-type": agreed.contentType,
    vary: "accept, accept-encoding",
    ...(coding === undefined ? {} : { "content-encoding": coding }),
  });
  const writer = new PageWriter();
  const output = new PageOutput(response, coding, writer);
  const budget = budgetOf(header(request, "x-prometheus-scrape-timeout-seconds"));
  const sources = sourcesOf(config, envoy, query);
  return async (rest) => {
    try {
      await scrape({ ...rest, agreed, sources, budget, writer, output });
    } catch (error) {
      output.destroy();
      throw error;
    }
  };
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === "string" ? value : value?.[0];
}
