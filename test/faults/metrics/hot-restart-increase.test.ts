import { afterEach, beforeEach, expect, test } from "vitest";
import { type App, startApp } from "../../helpers/app.ts";
import { eventually } from "../../helpers/eventually.ts";
import { Load } from "../../helpers/load/load.ts";
import { ask, drawPorts, type Ports, ProxyRun, portSettings } from "../../helpers/proxy.ts";
import { staticBootstrap } from "../../helpers/static-bootstrap.ts";
import { withoutPrometheus } from "../../programs/metrics/judges.ts";
import { type PrometheusRun, startPrometheus } from "../../programs/metrics/prometheus-server.ts";

const RESTARTS = 3;
/** The parent must outlive its last request by a scrape; what it counts after the child's last merge is lost. */
const PROXY_CONFIG = JSON.stringify({ drainDuration: "2s", parentShutdownDuration: "7s" });
const COUNTER = 'envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="main"}';

let ports: Ports;
let app: App;
let proxy: ProxyRun;
let server: PrometheusRun | undefined;
let load: Load | undefined;

beforeEach(async () => {
  ports = await drawPorts();
  app = await startApp(ports.app);
  const { args, env } = portSettings(ports);
  const bootstrap = staticBootstrap({
    adminPort: ports.admin,
    listener: { port: ports.listener, to: ports.app },
    readiness: { port: ports.readiness, statusPort: ports.status },
    prometheus: { port: ports.prometheus },
    drainTimeout: "0.5s",
  });
  proxy = new ProxyRun({
    args,
    env: { ...env, PROXY_CONFIG },
    bootstrap: { ...bootstrap, stats_flush_on_admin: true },
  });
  await eventually("ready", async () => (await ask({ port: ports.status }, "/healthz/ready")).status === 200);
});
afterEach(async () => {
  await load?.done();
  await server?.done();
  await proxy.done();
  await app.close();
  [load, server] = [undefined, undefined];
});

/** A gauge of our own page, which asks Envoy nothing: only Prometheus may read Envoy's statistics here. */
async function own(name: string): Promise<number> {
  const { body } = await ask({ port: ports.status }, "/metrics");
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(body)?.[1] ?? Number.NaN);
}

async function moreScrapes(prometheus: PrometheusRun, count: number): Promise<void> {
  const scrapes = (): Promise<number> => prometheus.value('count_over_time(up{job="pod"}[10m])');
  const before = await scrapes();
  await eventually(`${count} more scrapes`, async () => (await scrapes()) >= before + count, 60_000);
}

/** Every scraped value of the counter. */
async function scraped(prometheus: PrometheusRun): Promise<readonly number[]> {
  const { result } = (await prometheus.query(`${COUNTER}[10m]`)) as unknown as {
    readonly result: readonly { readonly values: readonly (readonly [number, string])[] }[];
  };
  if (result.length !== 1) throw new Error(`${result.length} series of ${COUNTER}`);
  return result[0]?.values.map(([, value]) => Number(value)) ?? [];
}

/** What increase() sums up before it extrapolates to the edges of its window: a fall is a start from zero. */
const increaseOf = (values: readonly number[]): number =>
  values.reduce((sum, value, i) => {
    const before = values[i - 1] ?? value;
    return sum + (value >= before ? value - before : value);
  }, 0);

test.skipIf(withoutPrometheus !== undefined)(
  `${RESTARTS} hot restarts under load: increase() of Envoy's counter is the true number of requests ${withoutPrometheus ?? ""}`,
  async () => {
    const prometheus = await startPrometheus({ target: `127.0.0.1:${ports.status}` });
    server = prometheus;
    await eventually("the counter was scraped", async () => (await prometheus.query(COUNTER)).result.length === 1);
    load = await Load.start([
      { kind: "keep-alive", port: ports.listener, clients: 2, pause: 5 },
      { kind: "new-connection", port: ports.listener, clients: 2, pause: 5 },
      { kind: "http2", port: ports.listener, clients: 1, pause: 5 },
    ]);
    await moreScrapes(prometheus, 5);
    for (let epoch = 1; epoch <= RESTARTS; epoch++) {
      proxy.signal("SIGHUP");
      await eventually(
        `epoch ${epoch} serves alone`,
        async () => (await own("pilotfish_envoy_epoch")) === epoch && (await own("pilotfish_envoy_processes")) === 1,
        60_000,
      );
      // So that the next fall is one: a counter that grows past its last value unseen would hide it.
      await moreScrapes(prometheus, 3);
    }
    const report = await load.stop();
    expect([report.failed, String(report)]).toEqual([0, String(report)]);
    await moreScrapes(prometheus, 2);
    const values = await scraped(prometheus);
    // Envoy latches its counters a moment after it has printed them (at once on a quiet machine, the time of a page of
    // metrics at most), so what the parent counts between the two in its last scrape is with nobody. Nothing is double.
    const missing = report.requests - increaseOf(values);
    expect([missing >= 0 && missing <= report.requests / 100, `${missing} of ${report.requests}`]).toEqual([
      true,
      `${missing} of ${report.requests}`,
    ]);
    expect(values.filter((value, i) => value < (values[i - 1] ?? value))).toHaveLength(RESTARTS);
    // With its extrapolation, Prometheus' own word is a scrape interval or so off.
    const [said, all] = [await prometheus.value(`increase(${COUNTER}[10m])`), values.length];
    expect(Math.abs(said / report.requests - 1)).toBeLessThan(2 / all);
    // The page itself was always there.
    expect(await prometheus.value("min_over_time(up[10m])")).toBe(1);
  },
);
