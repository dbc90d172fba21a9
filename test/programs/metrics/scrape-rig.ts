import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  request,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import type { AgentConfig, ScrapeTarget } from "../../../src/config/agent-config.ts";
import { type Log, noLog } from "../../../src/foundation/log.ts";
import { type AgentMetrics, createAgentMetrics } from "../../../src/metrics/agent-metrics.ts";
import { serveMergedMetrics } from "../../../src/metrics/serve-metrics.ts";
import { realClock } from "../../../src/system/clock.ts";
import { ownUsage } from "../../../src/system/own-usage.ts";

/** What a source answers: a page, or a handler that misbehaves in its own way. */
export type Answer = string | Buffer | RequestListener;

export interface Rig {
  readonly port: number;
  readonly metrics: AgentMetrics;
  /** Requests that a source saw, by its name. */
  readonly seen: Readonly<Record<string, IncomingMessage[]>>;
  readonly lines: LogLine[];
  scrape(headers?: Record<string, string>, path?: string): Promise<Scraped>;
  done(): Promise<void>;
}

export interface LogLine {
  readonly level: string;
  readonly text: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

export interface Scraped {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
  /** False when the connection was cut before the page ended. */
  readonly complete: boolean;
}

/** Our handler on a port of its own, over real sources on loopback. An application that is undefined is not there. */
export async function startRig(parts: {
  envoy?: Answer;
  applications?: readonly Answer[];
  ownReading?: () => Promise<unknown>;
}): Promise<Rig> {
  const servers: Server[] = [];
  const seen: Record<string, IncomingMessage[]> = {};
  const start = async (name: string, answer: Answer): Promise<number> => {
    seen[name] = [];
    const server = createServer((incoming, outgoing) => {
      seen[name]?.push(incoming);
      if (typeof answer === "function") return answer(incoming, outgoing);
      outgoing.writeHead(200, { "content-type": "text/plain; version=0.0.4" });
      outgoing.end(answer);
    });
    servers.push(server);
    return listen(server);
  };
  const envoy = parts.envoy === undefined ? undefined : await start("envoy", parts.envoy);
  const targets: ScrapeTarget[] = [];
  for (const [index, answer] of (parts.applications ?? []).entries())
    targets.push({ port: await start(`application${index}`, answer), path: "/metrics" });
  const metrics = createAgentMetrics({ usage: ownUsage, build: { version: "0", commit: "0", node: "0" } });
  const lines: LogLine[] = [];
  const handler = serveMergedMetrics({
    config: configWith(targets),
    metrics,
    clock: realClock,
    log: recording(lines),
    ...(parts.ownReading === undefined ? {} : { ownReading: parts.ownReading }),
    envoy: () =>
      envoy === undefined ? undefined : { to: { host: "127.0.0.1", port: envoy }, path: "/stats/prometheus" },
  });
  const server = createServer(
    (incoming: IncomingMessage, outgoing: ServerResponse) => void handler(incoming, outgoing),
  );
  servers.push(server);
  const port = await listen(server);
  return {
    port,
    metrics,
    seen,
    lines,
    scrape: (headers = {}, path = "/stats/prometheus") => scrape(port, headers, path),
    done: async () => {
      for (const one of servers) {
        one.closeAllConnections();
        await new Promise((resolve) => one.close(resolve));
      }
    },
  };
}

/** The fields that the merge reads; the rest of the configuration is not its business. */
export function configWith(targets: readonly ScrapeTarget[]): AgentConfig {
  const ports = { admin: 1, status: 2, readiness: 3, prometheus: 4, secureMetrics: 0, secureMergedMetrics: 0 };
  const mesh = { proxyListenPort: 15001, proxyInboundListenPort: 15006 };
  return { metrics: { mergeEnvoy: true, targets }, ports, mesh, envoy: { families: "v4" } } as unknown as AgentConfig;
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen({ port: 0, host: "127.0.0.1" }, () => resolve((server.address() as AddressInfo).port));
  });
}

/** One scrape, as a client without any tolerance: the body as it came over the wire. */
export function scrape(port: number, headers: Record<string, string>, path: string): Promise<Scraped> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, path, headers, agent: false }, (incoming) => {
      const parts: Buffer[] = [];
      const finish = (): void =>
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          body: Buffer.concat(parts),
          complete: incoming.complete,
        });
      incoming.on("data", (part: Buffer) => parts.push(part));
      incoming.on("error", finish);
      incoming.on("close", finish);
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}

function recording(lines: LogLine[]): Log {
  const at =
    (level: string) =>
    (text: string, facts = {}): void => {
      lines.push({ level, text, facts });
    };
  const log: Log = { ...noLog, debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  return { ...log, scoped: () => log };
}
