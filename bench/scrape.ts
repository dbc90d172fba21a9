import { eventually } from "../test/helpers/eventually.ts";
import { ask, drawPorts, type Ports, ProxyRun, portSettings } from "../test/helpers/proxy.ts";
import { staticBootstrap } from "../test/helpers/static-bootstrap.ts";
import { type BenchGroup, median, type Row, spread } from "./row.ts";

/** Clusters that give Envoy a page of about 13 MB. */
const CLUSTERS = 620;
const WARM_UP = 5;
const ROUNDS = 20;

function manyClusters(ports: Ports): object {
  const page = staticBootstrap({
    adminPort: ports.admin,
    readiness: { port: ports.readiness, statusPort: ports.status },
    prometheus: { port: ports.prometheus },
  }) as { readonly static_resources: { readonly clusters: object[] } };
  const endpoint = { endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: 9 } } } };
  for (let i = 0; i < CLUSTERS; i++)
    page.static_resources.clusters.push({
      name: `outbound|8080||svc-${i}.namespace-${i % 20}.svc.cluster.local`,
      connect_timeout: "1s",
      type: "STATIC",
      load_assignment: { cluster_name: "one", endpoints: [{ lb_endpoints: [endpoint] }] },
    });
  return page;
}

/** The built program beside a real Envoy with a large page: through us, and from Envoy's own port. */
async function scrape(): Promise<readonly Row[]> {
  const ports = await drawPorts();
  const { args, env } = portSettings(ports);
  const proxy = new ProxyRun({ args, env, bootstrap: manyClusters(ports) });
  const [ours, alone]: [number[], number[]] = [[], []];
  let bytes = 0;
  try {
    await eventually("readiness", async () => (await ask({ port: ports.readiness }, "/healthz/ready")).status === 200);
    for (let round = -WARM_UP; round < ROUNDS; round++) {
      for (const [list, port] of [
        [alone, ports.prometheus],
        [ours, ports.status],
      ] as const) {
        const started = performance.now();
        const { body } = await ask({ port }, "/stats/prometheus", { timeout: 60_000 });
        if (round >= 0) list.push(performance.now() - started);
        bytes = body.length;
      }
    }
  } finally {
    await proxy.done();
  }
  const ratio = median(ours) / median(alone);
  return [
    {
      what: `scrape of ${(bytes / 1e6).toFixed(0)} MB of a real Envoy, merged`,
      value: spread(ours, "ms"),
      against: `Envoy's own port ${spread(alone, "ms")}, x ${ratio.toFixed(2)}`,
      goal: "<= 1.1 x",
      met: ratio <= 1.1,
    },
  ];
}

export const groups: readonly BenchGroup[] = [{ name: "scrape", run: scrape }];
