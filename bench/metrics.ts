import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { openBody } from "../src/system/body-stream.ts";
import { eventually } from "../test/helpers/eventually.ts";
import { freePorts } from "../test/helpers/free-ports.ts";
import { envoy as envoyBinary, root, temporaryFolder } from "../test/helpers/paths.ts";
import { type BenchGroup, median, type Row, spread } from "./row.ts";

/** Megabytes of Envoy's page, and how often it is scraped in each way. */
const sizes: readonly (readonly [megabytes: number, rounds: number])[] = [
  [1, 40],
  [13, 12],
  [100, 4],
];
/** The application beside it. */
const APPLICATION_MB = 0.1;
/** bin/pilotfish sets these. */
const tuning = ["--max-semi-space-size=1", "--max-old-space-size=64", "--v8-pool-size=1"];
const malloc = { MALLOC_ARENA_MAX: "1", MALLOC_TRIM_THRESHOLD_: "65536" };

export const groups: readonly BenchGroup[] = [{ name: "metrics", run: metricsRows }];

export async function metricsRows(): Promise<readonly Row[]> {
  const folder = temporaryFolder("bench-metrics");
  const bundle = join(folder.path, "subject.cjs");
  const entry = join(root, "bench/metrics-subject.ts");
  await build({ entryPoints: [entry], bundle: true, platform: "node", format: "cjs", minify: true, outfile: bundle });
  const rows: Row[] = [];
  try {
    rows.push(...(await realEnvoy(bundle, folder.path)));
    for (const [megabytes, rounds] of sizes) rows.push(...(await oneSize(bundle, megabytes, rounds)));
  } finally {
    folder.done();
  }
  return rows;
}

interface Running {
  readonly child: ChildProcess;
  readonly port: number;
  readonly bytes: number;
}

/** Starts a program that prints its port (and the size of its page) and waits for that. */
function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Running> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...args], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...env },
    });
    child.once("exit", (code) => reject(new Error(`${args.join(" ")} exited with ${code}`)));
    child.stdout.once("data", (text: Buffer) => {
      const [port = 0, bytes = 0] = text.toString().split(" ").map(Number);
      resolve({ child, port, bytes });
    });
  });
}

async function oneSize(bundle: string, megabytes: number, rounds: number): Promise<readonly Row[]> {
  const source = (size: number): Promise<Running> => start([join(root, "bench/metrics-source.ts"), String(size)]);
  const envoy = await source(megabytes);
  const application = await source(APPLICATION_MB);
  const subject = (): Promise<Running> =>
    start([...tuning, bundle, String(envoy.port), String(application.port)], malloc);
  const [ours, naive] = [await subject(), await subject()];
  try {
    const pageMegabytes = (envoy.bytes + application.bytes) / 1e6;
    return await measured({ envoy, ours, naive, megabytes, rounds, pageMegabytes });
  } finally {
    for (const { child } of [envoy, application, ours, naive]) {
      child.removeAllListeners("exit");
      child.kill("SIGKILL");
    }
  }
}

/** Clusters that give Envoy a page of about 13 MB. */
const CLUSTERS = 620;
const STATS = "/stats/prometheus";

/** The slowest source as it really is: Envoy thinks longer about its page than anybody needs to read it. */
async function realEnvoy(bundle: string, folder: string): Promise<readonly Row[]> {
  const [port = 0] = await freePorts(1);
  const config = join(folder, "envoy.json");
  writeFileSync(config, JSON.stringify(manyClusters(port)));
  const child = spawn(envoyBinary, ["-c", config, "--disable-hot-restart", "--concurrency", "1", "-l", "error"], {
    stdio: "ignore",
  });
  const envoy: Running = { child, port, bytes: 0 };
  await eventually("Envoy's admin answers", async () => (await fetch(`http://127.0.0.1:${port}/ready`)).ok);
  const application = await start([join(root, "bench/metrics-source.ts"), String(APPLICATION_MB)]);
  const args = [String(port), String(application.port), STATS];
  const ours = await start([...tuning, bundle, ...args], malloc);
  const [alone, total]: [number[], number[]] = [[], []];
  try {
    for (let i = 0; i < 30; i++) {
      const one = await scrape(envoy, STATS, false);
      const other = await scrape(ours, "/", false);
      if (i < 10) continue;
      alone.push(one.total);
      total.push(other.total);
    }
  } finally {
    for (const { child: one } of [envoy, application, ours]) {
      one.removeAllListeners("exit");
      one.kill("SIGKILL");
    }
  }
  const ratio = median(total) / median(alone);
  return [
    {
      what: "real Envoy, 13 MB: scrape, against it alone",
      value: `${ratio.toFixed(2)} x: ${spread(total, "ms", 1)}`,
      against: `alone ${spread(alone, "ms", 1)}`,
      goal: "1.1 x",
      met: ratio <= 1.1,
    },
  ];
}

function manyClusters(port: number): object {
  const endpoint = { endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: 9 } } } };
  return {
    admin: { address: { socket_address: { address: "127.0.0.1", port_value: port } } },
    static_resources: {
      clusters: Array.from({ length: CLUSTERS }, (_, i) => ({
        name: `outbound|8080||svc-${i}.namespace-${i % 20}.svc.cluster.local`,
        connect_timeout: "1s",
        type: "STATIC",
        load_assignment: { cluster_name: "one", endpoints: [{ lb_endpoints: [endpoint] }] },
      })),
    },
  };
}

interface Setting {
  readonly envoy: Running;
  readonly ours: Running;
  readonly naive: Running;
  readonly megabytes: number;
  readonly rounds: number;
  readonly pageMegabytes: number;
}

async function measured(setting: Setting): Promise<readonly Row[]> {
  const { envoy, ours, naive, megabytes, rounds, pageMegabytes } = setting;
  const alone: number[] = [];
  const total: number[] = [];
  const first: number[] = [];
  const naiveTotal: number[] = [];
  const naiveFirst: number[] = [];
  // A scraper comes for ever: warm first. Then in turn, so that all see the same noise.
  for (let i = 0; i < 3; i++)
    for (const [running, path] of [
      [ours, "/"],
      [naive, "/naive"],
    ] as const)
      await scrape(running, path, false);
  const plainCpu = new CpuOf(ours, naive);
  await plainCpu.begin();
  for (let i = 0; i < rounds; i++) {
    alone.push((await scrape(envoy, "/", false)).total);
    const one = await scrape(ours, "/", false);
    total.push(one.total);
    first.push(one.first);
    const other = await scrape(naive, "/naive", false);
    naiveTotal.push(other.total);
    naiveFirst.push(other.first);
  }
  const plain = await plainCpu.perMegabyte(rounds * pageMegabytes);
  const peak = [peakOf(ours), peakOf(naive)];
  await plainCpu.begin();
  for (let i = 0; i < rounds; i++) {
    await scrape(ours, "/", true);
    await scrape(naive, "/naive", true);
  }
  const zipped = await plainCpu.perMegabyte(rounds * pageMegabytes);
  const ratio = median(total) / median(alone);
  const at = `${megabytes} MB`;
  return [
    {
      // From memory, at more than a gigabyte a second: no source is that fast, so there is no goal here.
      what: `${at} from memory: scrape`,
      value: `${ratio.toFixed(2)} x: ${spread(total, "ms", 1)}`,
      against: `source alone ${spread(alone, "ms", 1)}; naive ${spread(naiveTotal, "ms", 1)}`,
    },
    {
      what: `${at}: first byte`,
      value: spread(first, "ms", 1),
      against: `naive ${spread(naiveFirst, "ms", 1)}`,
      goal: "< 20 ms",
      met: median(first) < 20,
    },
    cpuRow(`${at}: CPU a MB, plain`, plain, 2.5),
    cpuRow(`${at}: CPU a MB, gzip`, zipped, 6),
    {
      what: `${at}: peak RSS, plain and gzip`,
      value: `${peak[0]} MB, ${peakOf(ours)} MB`,
      against: `naive ${peak[1]} MB, ${peakOf(naive)} MB`,
      goal: "100 MB",
      met: peakOf(ours) <= 100,
    },
  ];
}

const cpuRow = (what: string, [ours = 0, naive = 0]: readonly number[], goal: number): Row => ({
  what,
  value: `${ours.toFixed(2)} ms`,
  against: `naive ${naive.toFixed(2)} ms`,
  goal: `${goal} ms`,
  met: ours <= goal,
});

/** User and system time that processes have used, told by themselves. */
class CpuOf {
  readonly #all: readonly Running[];
  #before: readonly number[] = [];
  constructor(...all: readonly Running[]) {
    this.#all = all;
  }
  #now(): Promise<readonly number[]> {
    return Promise.all(
      this.#all.map(async ({ port }) => {
        const { user, system } = (await (await fetch(`http://127.0.0.1:${port}/cpu`)).json()) as NodeJS.CpuUsage;
        return (user + system) / 1_000;
      }),
    );
  }
  async begin(): Promise<void> {
    this.#before = await this.#now();
  }
  async perMegabyte(megabytes: number): Promise<readonly number[]> {
    return (await this.#now()).map((ms, i) => (ms - (this.#before[i] ?? 0)) / megabytes);
  }
}

/** The most memory that the process ever had, in MB. */
function peakOf({ child }: Running): number {
  const kilobytes = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1];
  return Math.round(Number(kilobytes) / 1_000);
}

async function scrape({ port }: Running, path: string, gzip: boolean): Promise<{ first: number; total: number }> {
  const began = performance.now();
  const headers = { accept: "text/plain", "accept-encoding": gzip ? "gzip" : "identity" };
  const stop = new AbortController();
  const stream = await openBody({ to: { host: "127.0.0.1", port }, path, headers, signal: stop.signal });
  let first = 0;
  await stream.read(async () => {
    if (first === 0) first = performance.now() - began;
  });
  return { first, total: performance.now() - began };
}
