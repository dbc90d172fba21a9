import { openBody } from "../src/system/body-stream.ts";
import { eventually } from "../test/helpers/eventually.ts";
import { ask, drawPorts, type Ports, ProxyRun, portSettings } from "../test/helpers/proxy.ts";
import { staticBootstrap } from "../test/helpers/static-bootstrap.ts";
import { ourTags, uncalledClusters } from "./many-clusters.ts";
import { type BenchGroup, median, type Row, spread } from "./row.ts";

/** Clusters that give Envoy a page of about 1 and 13 MB, and how often it is scraped. */
const sizes: readonly (readonly [clusters: number, rounds: number])[] = [
  [50, 100],
  [650, 20],
];

function manyClusters(ports: Ports, clusters: number): object {
  const page = staticBootstrap({
    adminPort: ports.admin,
    readiness: { port: ports.readiness, statusPort: ports.status },
    prometheus: { port: ports.prometheus },
  }) as { readonly static_resources: { readonly clusters: object[] } };
  page.static_resources.clusters.push(...uncalledClusters(clusters, "ours"));
  return { ...page, stats_config: ourTags };
}

/** The built program beside a real Envoy with a large page: through us, and from Envoy's own port. */
async function scrape([clusters, rounds]: readonly [number, number]): Promise<Row> {
  const ports = await drawPorts();
  const { args, env } = portSettings(ports);
  const proxy = new ProxyRun({ args, env, bootstrap: manyClusters(ports, clusters) });
  const [ours, alone]: [number[], number[]] = [[], []];
  let bytes = 0;
  try {
    await eventually("readiness", async () => (await ask({ port: ports.readiness }, "/healthz/ready")).status === 200);
    // A scraper comes for ever: the first half only warms.
    for (let round = -rounds; round < rounds; round++) {
      for (const [list, port] of [
        [alone, ports.prometheus],
        [ours, ports.status],
      ] as const) {
        const took = await read(port);
        if (round >= 0) list.push(took.ms);
        bytes = took.bytes;
      }
    }
  } finally {
    await proxy.done();
  }
  const ratio = median(ours) / median(alone);
  return {
    what: `scrape of ${(bytes / 1e6).toFixed(0)} MB of a real Envoy, merged`,
    value: spread(ours, "ms", 1),
    against: `Envoy's own port ${spread(alone, "ms", 1)}, x ${ratio.toFixed(2)}`,
    goal: "<= 1.1 x",
    met: ratio <= 1.1,
  };
}

/** A scraper that costs little: on two cores its time would be in both. */
async function read(port: number): Promise<{ readonly ms: number; readonly bytes: number }> {
  const started = performance.now();
  const { signal } = new AbortController();
  const headers = { accept: "text/plain", "accept-encoding": "identity" };
  const stream = await openBody({ to: { host: "127.0.0.1", port }, path: "/stats/prometheus", headers, signal });
  let bytes = 0;
  await stream.read((piece) => {
    bytes += piece.length;
    return undefined;
  });
  return { ms: performance.now() - started, bytes };
}

async function rows(): Promise<readonly Row[]> {
  const all: Row[] = [];
  for (const size of sizes) all.push(await scrape(size));
  return all;
}

export const groups: readonly BenchGroup[] = [{ name: "scrape", run: rows }];
