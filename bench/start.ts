import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type App, startApp } from "../test/helpers/app.ts";
import { envoy, temporaryFolder } from "../test/helpers/paths.ts";
import { ask, drawPorts, type Ports, type ProxyRun, staticProxy } from "../test/helpers/proxy.ts";
import { staticBootstrap } from "../test/helpers/static-bootstrap.ts";
import { type BenchGroup, median, type Row, spread } from "./row.ts";

const ROUNDS = 15;

/** Time until a 200 comes, asked without pause. */
async function untilOk(port: number, path: string, started: number): Promise<number> {
  for (;;) {
    try {
      if ((await ask({ port }, path, { timeout: 2_000 })).status === 200) return performance.now() - started;
    } catch {
      // Not there yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** exec of Envoy alone to its first answer through a worker, on the same configuration. */
async function envoyAlone(): Promise<number> {
  const ports = await drawPorts();
  const app = await startApp(ports.app);
  const folder = temporaryFolder("bench");
  const config = join(folder.path, "envoy.json");
  writeFileSync(config, JSON.stringify(configuration(ports)));
  const started = performance.now();
  const child = spawn(envoy, ["-c", config, "--disable-hot-restart", "--concurrency", "1", "-l", "error"], {
    stdio: "ignore",
  });
  const took = await untilOk(ports.listener, "/", started);
  child.kill("SIGKILL");
  await app.close();
  folder.done();
  return took;
}

const configuration = (ports: Ports): object =>
  staticBootstrap({
    adminPort: ports.admin,
    listener: { port: ports.listener, to: ports.app },
    readiness: { port: ports.readiness, statusPort: ports.status },
    prometheus: { port: ports.prometheus },
  });

interface Running {
  readonly ports: Ports;
  readonly app: App;
  readonly proxy: ProxyRun;
  readonly readyAfter: number;
}

async function startOurs(): Promise<Running> {
  const ports = await drawPorts();
  const app = await startApp(ports.app);
  const started = performance.now();
  const proxy = staticProxy(ports);
  const readyAfter = await untilOk(ports.readiness, "/healthz/ready", started);
  return { ports, app, proxy, readyAfter };
}

async function end({ proxy, app }: Running): Promise<number> {
  const started = performance.now();
  proxy.signal("SIGTERM");
  await proxy.exited;
  const took = performance.now() - started;
  await proxy.done();
  await app.close();
  return took;
}

async function startAndStop(): Promise<readonly Row[]> {
  const [ours, alone, stops]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < ROUNDS; round++) {
    alone.push(await envoyAlone());
    const running = await startOurs();
    ours.push(running.readyAfter);
    stops.push(await end(running));
  }
  const more = median(ours) - median(alone);
  return [
    {
      what: "exec to ready (200 on the readiness listener)",
      value: spread(ours, "ms"),
      against: `Envoy alone ${spread(alone, "ms")}, +${more.toFixed(0)} ms, x ${(median(ours) / median(alone)).toFixed(2)}`,
      goal: "Envoy alone + 150 ms",
      met: more <= 150,
    },
    { what: "SIGTERM to gone, idle", value: spread(stops, "ms"), goal: "< 300 ms", met: median(stops) < 300 },
  ];
}

function memoryOf(pid: number): { readonly rss: number; readonly anon: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const mega = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? Number.NaN) / 1024;
  return { rss: mega("VmRSS"), anon: mega("RssAnon") };
}

async function memory(): Promise<readonly Row[]> {
  const running = await startOurs();
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  const { rss, anon } = memoryOf(running.proxy.pid);
  await end(running);
  return [
    { what: "idle RSS, 5 s after ready", value: `${rss.toFixed(1)} MB`, goal: "<= 65 MB", met: rss <= 65 },
    { what: "idle RssAnon", value: `${anon.toFixed(1)} MB`, goal: "<= 20 MB", met: anon <= 20 },
  ];
}

async function probes(): Promise<readonly Row[]> {
  const running = await startOurs();
  const time = async (port: number): Promise<number[]> => {
    const took: number[] = [];
    for (let i = 0; i < 200; i++) {
      const started = performance.now();
      await ask({ port }, "/healthz/ready");
      took.push(performance.now() - started);
    }
    return took;
  };
  const [direct, through] = [await time(running.ports.status), await time(running.ports.readiness)];
  await end(running);
  return [
    { what: "probe on the status port, 200 times", value: spread(direct, "ms", 1) },
    { what: "probe on the readiness listener, 200 times", value: spread(through, "ms", 1) },
  ];
}

export const groups: readonly BenchGroup[] = [
  { name: "start", run: startAndStop },
  { name: "memory", run: memory },
  { name: "probes", run: probes },
];
