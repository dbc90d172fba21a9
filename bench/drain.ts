import { type App, startApp } from "../test/helpers/app.ts";
import { eventually } from "../test/helpers/eventually.ts";
import { ask, drawPorts, type Ports, type ProxyOptions, type ProxyRun, staticProxy } from "../test/helpers/proxy.ts";
import { type BenchGroup, median, type Row, spread } from "./row.ts";

const ROUNDS = 5;
/** Of a grace period of 4 s a drain may take 3 (docs/operations.md). */
const GRACE = 4_000;
const BUDGET = 3_000;

interface Running {
  readonly ports: Ports;
  readonly app: App;
  readonly proxy: ProxyRun;
}

interface Case {
  readonly options?: ProxyOptions;
  /** Makes the situation; the clock starts after it. */
  readonly before?: (running: Running) => Promise<void>;
}

/** SIGTERM to gone, ms. */
async function stopOnce({ options = {}, before = async () => undefined }: Case): Promise<number> {
  const ports = await drawPorts();
  const app = await startApp(ports.app);
  const proxy = staticProxy(ports, options);
  await eventually("ready", async () => (await ask({ port: ports.readiness }, "/healthz/ready")).status === 200);
  await before({ ports, app, proxy });
  const started = performance.now();
  proxy.signal("SIGTERM");
  await proxy.exited;
  const took = performance.now() - started;
  await proxy.done();
  await app.close();
  return took;
}

async function times(one: Case): Promise<number[]> {
  const took: number[] = [];
  for (let round = 0; round < ROUNDS; round++) took.push(await stopOnce(one));
  return took;
}

const hold = async ({ ports, app }: Running): Promise<void> => {
  void ask({ port: ports.listener }, "/hold", { timeout: 60_000 }).catch(() => undefined);
  await eventually("the request is in flight", () => app.held() === 1);
};
const hang = async ({ proxy }: Running): Promise<void> => {
  process.kill(await proxy.envoyPid(), "SIGSTOP");
};
const shortGrace = { TERMINATION_GRACE_PERIOD: `${GRACE / 1_000}s` };

async function drains(): Promise<readonly Row[]> {
  const idle = await times({});
  const late = await times({ options: { args: ["--min-drain", "0s"], env: shortGrace }, before: hold });
  const hung = await times({ options: { env: shortGrace }, before: hang });
  const over = late.map((took) => took - BUDGET);
  return [
    { what: "SIGTERM to gone, idle", value: spread(idle, "ms"), goal: "< 300 ms", met: median(idle) < 300 },
    {
      what: "a connection that never ends, budget 3 s",
      value: spread(late, "ms"),
      against: `${spread(over, "ms")} after the deadline`,
      goal: "within 1 s",
      met: Math.min(...over) >= 0 && Math.max(...over) < 1_000,
    },
    {
      what: "an Envoy that hangs, grace 4 s",
      value: spread(hung, "ms"),
      goal: "gone before the grace ends",
      met: Math.max(...hung) < GRACE,
    },
  ];
}

export const groups: readonly BenchGroup[] = [{ name: "drain", run: drains }];
