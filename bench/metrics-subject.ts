// What the bench measures, bundled like the product: our merged page, and beside it the naive way (read everything,
// concatenate, compress) and a relay of Envoy's page alone, over the same sources.
//   node metrics-subject.cjs ENVOY-PORT APPLICATION-PORT ENVOY-PATH
import { createServer, get, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzip } from "node:zlib";
import type { AgentConfig } from "../src/config/agent-config.ts";
import { noLog } from "../src/foundation/log.ts";
import { createAgentMetrics } from "../src/metrics/agent-metrics.ts";
import { serveMergedMetrics } from "../src/metrics/serve-metrics.ts";
import { openBody } from "../src/system/body-stream.ts";
import { realClock } from "../src/system/clock.ts";
import { ownUsage } from "../src/system/own-usage.ts";

const [envoy = 0, application = 0] = process.argv.slice(2).map(Number);
const path = process.argv[4] ?? "/";
const metrics = createAgentMetrics({ usage: ownUsage, build: { version: "bench", commit: "", node: "" } });
const config = {
  metrics: { mergeEnvoy: true, targets: [{ port: application, path: "/" }] },
  ports: {},
  mesh: {},
  envoy: { families: "v4" },
} as unknown as AgentConfig;
const merged = serveMergedMetrics({
  config,
  metrics,
  clock: realClock,
  log: noLog,
  envoy: () => ({ to: { host: "127.0.0.1", port: envoy }, path }),
});

function whole(port: number, from: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, path: from, agent: false }, (incoming) => {
      const parts: Buffer[] = [];
      incoming.on("data", (part: Buffer) => parts.push(part));
      incoming.on("end", () => resolve(Buffer.concat(parts)));
    }).on("error", reject);
  });
}

async function naive(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts = await Promise.all([
    metrics.text().then((text) => Buffer.from(text)),
    whole(envoy, path),
    whole(application, "/"),
  ]);
  const page = Buffer.concat(parts);
  if (request.headers["accept-encoding"] !== "gzip") return void response.end(page);
  gzip(page, { level: 1 }, (error, bytes) => (error ? response.destroy() : response.end(bytes)));
}

/** Envoy's text page from socket to socket, unread: what a way through that does nothing costs. */
async function relay(response: ServerResponse): Promise<void> {
  const stop = new AbortController();
  const to = { host: "127.0.0.1", port: envoy };
  const stream = await openBody({ to, path, headers: {}, signal: stop.signal });
  await stream.read((piece) => new Promise((sent) => void response.write(piece, () => sent())));
  response.end();
}

const server = createServer((request, response) => {
  if (request.url === "/naive") void naive(request, response);
  else if (request.url === "/relay") void relay(response);
  else void merged(request, response);
});
server.listen({ port: 0, host: "127.0.0.1" }, () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
