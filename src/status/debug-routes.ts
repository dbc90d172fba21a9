import type { Json, JsonObject } from "../config/agent-config.ts";
import { ownResources } from "../system/own-resources.ts";
import { cpuProfile, memoryFacts, writeHeapSnapshot } from "../system/profiling.ts";
import { reply, replyJson, replyText } from "./respond.ts";
import type { Exchange, Route } from "./routes.ts";

export interface DebugDeps {
  /** The effective configuration; secrets are already taken out. */
  readonly debugConfig: () => JsonObject;
  /** The DNS name table; undefined while there is none. */
  readonly nameTable?: () => Json | undefined;
  /** --profiling: without it there is neither /debug/heap nor /debug/cpu. */
  readonly profiling: boolean;
}

const LONGEST_PROFILE_S = 30;
const USUAL_PROFILE_S = 5;

/** What stands in for Go's pprof, and what the agent knows: for callers of this pod only. */
export function debugRoutes({ debugConfig, nameTable, profiling }: DebugDeps): readonly Route[] {
  const route = (path: string, atOnce: number, serve: Route["serve"], limit = 60_000): Route => ({
    path,
    method: "GET",
    access: "trusted",
    limit,
    atOnce,
    serve,
  });
  const profiles = [
    route("/debug/heap", 1, serveHeap),
    route("/debug/cpu", 1, serveCpu, (LONGEST_PROFILE_S + 30) * 1_000),
  ];
  return [
    ...(profiling ? profiles : []),
    route("/debug/resources", 4, ({ response }) => replyJson(response, 200, { ...ownResources() })),
    route("/debug/config", 4, ({ response }) => replyJson(response, 200, debugConfig())),
    route("/debug/ndsz", 4, ({ response }) => {
      const table = nameTable?.();
      // The peer's answer, to the byte, while there is no table.
      if (table === undefined) reply(response, { status: 404, body: "{}", type: "application/json" });
      else replyJson(response, 200, table);
    }),
  ];
}

/** GET /debug/heap: sizes; `?snapshot` streams the heap itself, which holds every secret there is: unix socket only. */
async function serveHeap({ request, response, query, peer, gone }: Exchange): Promise<void> {
  if (!query.has("snapshot")) return replyJson(response, 200, memoryFacts());
  if (peer !== "socket") {
    return replyText(response, 403, "a heap snapshot holds secrets: only through the unix socket\n");
  }
  response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" });
  if (request.method === "HEAD") response.end();
  else await writeHeapSnapshot(response, gone);
}

/** GET /debug/cpu?seconds=N: a `.cpuprofile` of the next N seconds, 1 to 30. */
async function serveCpu({ response, query, gone }: Exchange): Promise<void> {
  const text = query.get("seconds") ?? String(USUAL_PROFILE_S);
  const seconds = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || seconds <= 0 || seconds > LONGEST_PROFILE_S) {
    return replyText(response, 400, `cannot profile for ${JSON.stringify(text)} s; use 1 to ${LONGEST_PROFILE_S}\n`);
  }
  const profile = await cpuProfile(seconds * 1_000, gone);
  reply(response, { status: 200, body: profile, type: "application/json" });
}
