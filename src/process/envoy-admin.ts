import { describeError } from "../foundation/errors.ts";
import { type HttpTarget, httpRequest } from "../system/http-client.ts";
import { quickGet } from "../system/quick-get.ts";
import { type ConnectionCounts, countConnections, type ListenerRoles } from "./connection-counts.ts";

/** Of one answer, bytes: the listeners of a large mesh. */
const LARGEST = 4 * 1024 * 1024;

/** Envoy's own word for its state, and the epoch that said it. */
export interface ServerInfo {
  /** PRE_INITIALIZING, INITIALIZING, LIVE, DRAINING. */
  readonly state: string;
  readonly epoch: number;
  readonly version: string;
  readonly concurrency: number | undefined;
}

/**
 * Client of Envoy's admin (Envoy: operations/admin). Every call is a fresh connection: a pooled one is answered by a
 * draining parent for its whole window. Never `/stats` where something else tells it (hot-restart.md 12).
 */
export class EnvoyAdmin {
  readonly #to: () => HttpTarget;

  /** `to`: asked at every call, since another Envoy may answer elsewhere. */
  constructor(to: HttpTarget | (() => HttpTarget)) {
    this.#to = typeof to === "function" ? to : () => to;
  }

  /** State and epoch. Rejects when the admin does not answer in time or answers nonsense. */
  async serverInfo(timeout = 1_000): Promise<ServerInfo> {
    const answer = await this.#get("/server_info", timeout);
    const info = JSON.parse(answer.body.toString("utf8")) as ServerInfoJson;
    return {
      state: String(info.state ?? "UNKNOWN"),
      epoch: Number(info.command_line_options?.restart_epoch ?? 0),
      version: String(info.version ?? ""),
      concurrency: info.command_line_options?.concurrency,
    };
  }

  /**
   * Its state alone, in the words of ServerInfo. A twentieth of the work of `serverInfo`, whose answer lists every
   * extension of Envoy (124 kB in 1.40).
   */
  async state(timeout = 1_000): Promise<string> {
    // 503 is how it says everything but LIVE (Envoy: operations/admin, GET /ready).
    return (await this.#get("/ready", timeout, [200, 503])).body.toString("utf8").trim();
  }

  /**
   * POST /drain_listeners: graceful, so that new connections are taken until the drain time is over; only inbound ones
   * for a sidecar, whose application still needs the way out.
   */
  async drainListeners(
    how: { readonly inboundOnly: boolean; readonly skipExit: boolean },
    timeout = 2_000,
  ): Promise<void> {
    const query = [how.inboundOnly ? "inboundonly" : "", "graceful", how.skipExit ? "skip_exit" : ""].filter(
      (one) => one !== "",
    );
    await this.#post(`/drain_listeners?${query.join("&")}`, timeout);
  }

  /** POST /drain_listeners without grace: no new connection, because another Envoy takes them on the same ports. */
  async closeListeners(timeout = 2_000): Promise<void> {
    await this.#post("/drain_listeners", timeout);
  }

  /** Of the hot-restart protocol: "11.104"; Envoy with hot restart off says "disabled". */
  async hotRestartVersion(timeout = 1_000): Promise<string> {
    return (await this.#get("/hot_restart_version", timeout)).body.toString("utf8").trim();
  }

  /** The listeners as JSON (hot-restart/listen-addresses.ts reads it). */
  async listeners(timeout = 2_000): Promise<string> {
    return (await this.#get("/listeners?format=json", timeout)).body.toString("utf8");
  }

  /** Answers to callers so far, and those of class 5xx among them. Reads /stats: only for an Envoy on probation. */
  async responses(timeout = 1_000): Promise<{ readonly all: number; readonly bad: number }> {
    const path = "/stats?usedonly&filter=%5Ehttp%5C..*downstream_rq_(completed%7C5xx)%24";
    const text = (await this.#get(path, timeout)).body.toString("utf8");
    const sum = (name: string): number =>
      [...text.matchAll(/^http\.(?!admin\.)\S*downstream_rq_(\w+): (\d+)$/gm)]
        .filter(([, what]) => what === name)
        .reduce((total, [, , value]) => total + Number(value), 0);
    return { all: sum("completed"), bad: sum("5xx") };
  }

  /** Open connections and all so far, by the role of their listener. Reads /stats: only a drain does. */
  async connections(roles: ListenerRoles, timeout = 2_000): Promise<ConnectionCounts> {
    return countConnections(await this.#listenerStats("cx_active|pre_cx_active|cx_total", "", timeout), roles);
  }

  /** Only all so far, of listeners that are called from outside; in a large mesh half the work for Envoy. */
  async inboundTotal(roles: ListenerRoles, timeout = 2_000): Promise<number> {
    return countConnections(await this.#listenerStats("cx_total", "&type=Counters", timeout), roles).inboundTotal;
  }

  async #listenerStats(which: string, more: string, timeout: number): Promise<string> {
    const filter = encodeURIComponent(`^listener\\..*downstream_(${which})$`);
    return (await this.#get(`/stats?usedonly&filter=${filter}${more}`, timeout)).body.toString("utf8");
  }

  #get(path: string, timeout: number, good: readonly number[] = [200]): Promise<{ readonly body: Buffer }> {
    return answered(`GET ${path}`, good, quickGet({ to: this.#to(), path, timeout, limit: LARGEST }));
  }

  async #post(path: string, timeout: number): Promise<void> {
    const asked = httpRequest({ to: this.#to(), method: "POST", path, timeout, limit: LARGEST });
    await answered(`POST ${path}`, [200], asked);
  }
}

/** The answer, when it is one of those with a good status. */
async function answered<A extends { readonly status: number }>(
  what: string,
  good: readonly number[],
  asked: Promise<A>,
): Promise<A> {
  const answer = await asked.catch((error: unknown) => {
    throw new Error(`Envoy's admin does not answer: ${describeError(error)}`, { cause: error });
  });
  if (!good.includes(answer.status))
    throw new Error(`Envoy's admin answered ${answer.status} to ${what.split("?")[0]}`);
  return answer;
}

interface ServerInfoJson {
  readonly state?: string;
  readonly version?: string;
  readonly command_line_options?: { readonly restart_epoch?: number; readonly concurrency?: number };
}
