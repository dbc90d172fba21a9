import { type IncomingHttpHeaders, request } from "node:http";
import { createConnection, type NetConnectOpts } from "node:net";
import { noLog } from "../../src/foundation/log.ts";
import type { Wish } from "../../src/status/control-routes.ts";
import type { Standing } from "../../src/status/readiness.ts";
import { createStatusServer, type StatusDeps, type StatusServer } from "../../src/status/status-server.ts";
import { realClock } from "../../src/system/clock.ts";
import { freePorts } from "../helpers/free-ports.ts";

/** As much of a configuration as the status server reads. */
export const statusConfig = (
  port: number | undefined,
  more: Partial<StatusDeps["config"]> = {},
  localhostOnly = false,
) =>
  ({
    ports: { status: port },
    bootstrap: { metricsLocalhostOnly: localhostOnly },
    node: { ipAddresses: ["127.0.0.1"] },
    appProbers: undefined,
    profiling: true,
    ...more,
  }) as unknown as StatusDeps["config"];

export interface Fixture {
  readonly server: StatusServer;
  readonly port: number;
  /** What was asked for, in order. */
  readonly wishes: Wish[];
  /** Errors that reached onBug; has to stay empty. */
  readonly bugs: unknown[];
  standing: Standing;
}

/** A listening status server with fakes behind it; `/metrics` says "m 1", the merged page "merged 1". */
export async function startStatus(
  more: Partial<StatusDeps> & {
    readonly port?: number;
    readonly configured?: Partial<StatusDeps["config"]>;
    readonly metricsLocalhostOnly?: boolean;
  } = {},
  unixPath?: string,
): Promise<Fixture> {
  const port = more.port ?? (await freePorts(1))[0] ?? 0;
  const wishes: Wish[] = [];
  const bugs: unknown[] = [];
  const deps: StatusDeps = {
    config: statusConfig(port, more.configured, more.metricsLocalhostOnly),
    clock: realClock,
    log: noLog,
    contributors: [
      { name: "envoy", check: () => fixture.standing },
      { name: "lds", check: () => Promise.resolve({ ready: true, note: "12 listeners" }) },
    ],
    ask: (wish) => {
      wishes.push(wish);
      return wish.ask === "hot-restart" ? { refused: "there is no hot restart yet" } : "accepted";
    },
    serveMetrics: (_request, response) => {
      response.setHeader("content-type", "text/plain; version=0.0.4");
      response.end("m 1\n");
    },
    serveMerged: (_request, response) => {
      response.end("merged 1\n");
    },
    debugConfig: () => ({ role: "sidecar" }),
    onBug: (error) => bugs.push(error),
    ...more,
  };
  const server = createStatusServer(deps);
  const fixture: Fixture = { server, port, wishes, bugs, standing: { ready: true } };
  try {
    await server.listen();
    if (unixPath !== undefined) await server.listenUnix(unixPath);
  } catch (error) {
    await server.close();
    throw error;
  }
  return fixture;
}

export interface Asked {
  readonly port?: number;
  readonly host?: string;
  readonly socketPath?: string;
  readonly localAddress?: string;
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Gives up after this, ms. */
  readonly timeout?: number;
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** One request on a connection of its own. */
export function ask({ body, ...options }: Asked): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", agent: false, timeout: 20_000, ...options }, (incoming) => {
      const parts: Buffer[] = [];
      incoming.on("data", (part: Buffer) => parts.push(part));
      incoming.once("error", reject);
      incoming.once("end", () =>
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(parts).toString() }),
      );
    });
    outgoing.once("timeout", () => outgoing.destroy(new Error("no answer")));
    outgoing.once("error", reject);
    outgoing.end(body);
  });
}

/** Sends bytes as they are and gives everything that came until the other side closed (or `until` was seen). */
export function sendRaw(to: NetConnectOpts, text: string, until?: RegExp): Promise<string> {
  return new Promise((resolve) => {
    const socket = createConnection(to, () => socket.write(text));
    let seen = "";
    socket.setEncoding("latin1");
    socket.on("data", (part: string) => {
      seen += part;
      if (until?.test(seen)) socket.destroy();
    });
    socket.on("error", () => undefined);
    socket.once("close", () => resolve(seen));
  });
}
