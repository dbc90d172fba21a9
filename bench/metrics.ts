import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { openBody } from "../src/system/body-stream.ts";
import { eventually } from "../test/helpers/eventually.ts";
import { freePorts } from "../test/helpers/free-ports.ts";
import { envoy as envoyBinary, root, temporaryFolder } from "../test/helpers/paths.ts";
import { ourTags, type Tags, uncalledClusters } from "./many-clusters.ts";
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
const tuning = [
  "--max-semi-space-size=1",
  "--max-old-space-size=64",
  "--v8-pool-size=1",
  "--no-concurrent-recompilation",
  "--no-concurrent-osr",
  "--no-concurrent-sparkplug",
  "--no-liftoff",
];
const malloc = { MALLOC_ARENA_MAX: "1", MALLOC_TRIM_THRESHOLD_: "65536" };

export const groups: readonly BenchGroup[] = [{ name: "metrics", run: metricsRows }];

export async function metricsRows(): Promise<readonly Row[]> {
  const folder = temporaryFolder("bench-metrics");
  const bundle = join(folder.path, "subject.cjs");
  const entry = join(root, "bench/metrics-subject.ts");
  await build({ entryPoints: [entry], bundle: true, platform: "node", format: "cjs", minify: true, outfile: bundle });
  const rows: Row[] = [];
  try {
    for (const size of envoys) rows.push(...(await realEnvoy(bundle, folder.path, size)));
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

/** A real Envoy's page of about so many megabytes, and how often it is scraped in each way. */
interface EnvoySize {
  readonly megabytes: number;
  readonly clusters: number;
  readonly rounds: number;
  readonly tags: Tags;
}
const envoys: readonly EnvoySize[] = [
  { megabytes: 1, clusters: 50, rounds: 150, tags: "ours" },
  { megabytes: 1, clusters: 40, rounds: 100, tags: "defaults" },
  { megabytes: 13, clusters: 650, rounds: 20, tags: "ours" },
  { megabytes: 13, clusters: 620, rounds: 20, tags: "defaults" },
  { megabytes: 100, clusters: 4_800, rounds: 5, tags: "defaults" },
];
const STATS = "/stats/prometheus";

/** The slowest source as it really is: Envoy thinks longer about its page than anybody needs to read it. */
async function realEnvoy(bundle: string, folder: string, size: EnvoySize): Promise<readonly Row[]> {
  const [port = 0] = await freePorts(1);
  const config = join(folder, "envoy.json");
  writeFileSync(config, JSON.stringify(manyClusters(port, size)));
  const child = spawn(envoyBinary, ["-c", config, "--disable-hot-restart", "--concurrency", "1", "-l", "error"], {
    stdio: "ignore",
  });
  const envoy: Running = { child, port, bytes: 0 };
  await eventually("Envoy's admin answers", async () => (await fetch(`http://127.0.0.1:${port}/ready`)).ok);
  const application = await start([join(root, "bench/metrics-source.ts"), String(APPLICATION_MB)]);
  const args = [String(port), String(application.port), STATS];
  const ours = await start([...tuning, bundle, ...args], malloc);
  const naive = await start([...tuning, bundle, ...args], malloc);
  const ways = {
    alone: () => scrape(envoy, STATS, plainText),
    relay: () => scrape(ours, "/relay", plainText),
    merged: () => scrape(ours, "/", plainText),
    openMetrics: () => scrape(ours, "/", openMetrics),
    gzip: () => scrape(ours, "/", openMetricsZipped),
    naive: () => scrape(naive, "/naive", plainText),
  };
  try {
    const at = `real Envoy, ${size.megabytes} MB${size.tags === "ours" ? "" : " in 2,300 families"}`;
    const rows = realEnvoyRows(at, await inTurn(ways, size.rounds, ours, naive));
    return [...rows, peakRow(`${at}: peak RSS, of all ways`, ours, naive)];
  } finally {
    for (const { child: one } of [envoy, application, ours, naive]) {
      one.removeAllListeners("exit");
      one.kill("SIGKILL");
    }
  }
}

interface Seen {
  readonly total: number[];
  /** Of our process, or the naive one, a MB. */
  readonly cpu: number[];
}

/** Each way once a round, so that all see the same noise; the first half only warms. CPU is told a MB of the merged page. */
async function inTurn<W extends string>(
  ways: Readonly<Record<W, () => Promise<Took>>>,
  rounds: number,
  ours: Running,
  naive: Running,
): Promise<Readonly<Record<W, Seen>>> {
  const entries = Object.entries(ways) as [W, () => Promise<Took>][];
  const seen = Object.fromEntries(entries.map(([way]) => [way, { total: [], cpu: [] }])) as unknown as Record<W, Seen>;
  let bytes = 1;
  for (let round = -rounds; round < rounds; round++) {
    for (const [way, run] of entries) {
      const before = cpuOf(ours) + cpuOf(naive);
      const took = await run();
      const cpu = cpuOf(ours) + cpuOf(naive) - before;
      if (way === "merged") bytes = took.bytes;
      if (round < 0) continue;
      seen[way].total.push(took.total);
      seen[way].cpu.push(cpu / (bytes / 1e6));
    }
  }
  return seen;
}

function realEnvoyRows(
  at: string,
  seen: Readonly<Record<"alone" | "relay" | "merged" | "openMetrics" | "gzip" | "naive", Seen>>,
): readonly Row[] {
  const { alone, relay, merged, openMetrics: open, gzip, naive } = seen;
  const times = ({ total }: Seen): string =>
    `${(median(total) / median(alone.total)).toFixed(2)} x: ${spread(total, "ms", 1)}`;
  const ratio = median(merged.total) / median(alone.total);
  return [
    {
      what: `${at}: scrape, against it alone`,
      value: times(merged),
      against: `alone ${spread(alone.total, "ms", 1)}; unread relay ${times(relay)}; naive ${times(naive)}`,
      goal: "1.1 x",
      met: ratio <= 1.1,
    },
    { what: `${at}: as OpenMetrics`, value: times(open), against: `with gzip ${times(gzip)}` },
    cpuRow(`${at}: CPU a MB, plain`, merged.cpu, naive.cpu, 2.5),
    {
      what: `${at}: CPU a MB, OpenMetrics`,
      value: spread(open.cpu, "ms", 2),
      against: `unread relay ${spread(relay.cpu, "ms", 2)}`,
    },
    {
      what: `${at}: CPU a MB, OpenMetrics, gzip`,
      value: spread(gzip.cpu, "ms", 2),
      goal: "6 ms",
      met: median(gzip.cpu) <= 6,
    },
  ];
}

/** Every statistic of clusters that nobody calls. */
function manyClusters(port: number, { clusters, tags }: EnvoySize): object {
  return {
    admin: { address: { socket_address: { address: "127.0.0.1", port_value: port } } },
    ...(tags === "ours" ? { stats_config: ourTags } : {}),
    static_resources: { clusters: uncalledClusters(clusters, tags) },
  };
}

const peakRow = (what: string, ours: Running, naive: Running): Row => ({
  what,
  value: `${peakOf(ours)} MB`,
  against: `naive ${peakOf(naive)} MB`,
  goal: "100 MB",
  met: peakOf(ours) <= 100,
});

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
  const plain: number[] = [];
  const naivePlain: number[] = [];
  const zipped: number[] = [];
  const naiveZipped: number[] = [];
  // A scraper comes for ever: the first half only warms. All in turn, so that they see the same noise.
  for (let i = 0; i < 2 * rounds; i++) {
    const source = await scrape(envoy, "/", plainText);
    const one = await cost(ours, "/", false);
    const other = await cost(naive, "/naive", false);
    if (i < rounds) continue;
    alone.push(source.total);
    total.push(one.total);
    first.push(one.first);
    plain.push(one.cpu / pageMegabytes);
    naiveTotal.push(other.total);
    naiveFirst.push(other.first);
    naivePlain.push(other.cpu / pageMegabytes);
  }
  const peak = [peakOf(ours), peakOf(naive)];
  for (let i = 0; i < rounds; i++) {
    zipped.push((await cost(ours, "/", true)).cpu / pageMegabytes);
    naiveZipped.push((await cost(naive, "/naive", true)).cpu / pageMegabytes);
  }
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
    cpuRow(`${at}: CPU a MB, plain`, plain, naivePlain, 2.5),
    cpuRow(`${at}: CPU a MB, gzip`, zipped, naiveZipped, 6),
    {
      what: `${at}: peak RSS, plain and gzip`,
      value: `${peak[0]} MB, ${peakOf(ours)} MB`,
      against: `naive ${peak[1]} MB, ${peakOf(naive)} MB`,
      goal: "100 MB",
      met: peakOf(ours) <= 100,
    },
  ];
}

const cpuRow = (what: string, ours: readonly number[], naive: readonly number[], goal: number): Row => ({
  what,
  value: spread(ours, "ms", 2),
  against: `naive ${spread(naive, "ms", 2)}`,
  goal: `${goal} ms`,
  met: median(ours) <= goal,
});

/** Time that all threads of the process have run so far, in ms, as the scheduler counts it. */
function cpuOf({ child }: Running): number {
  const tasks = `/proc/${child.pid}/task`;
  const nanoseconds = readdirSync(tasks).map((one) => {
    try {
      return Number(readFileSync(join(tasks, one, "schedstat"), "utf8").split(" ")[0]);
    } catch {
      // It has ended meanwhile.
      return 0;
    }
  });
  return nanoseconds.reduce((sum, one) => sum + one, 0) / 1e6;
}

/** What one scrape costs the scraped process, in ms. */
async function cost(running: Running, path: string, gzip: boolean): Promise<Took & { readonly cpu: number }> {
  const before = cpuOf(running);
  const took = await scrape(running, path, gzip ? plainTextZipped : plainText);
  return { ...took, cpu: cpuOf(running) - before };
}

/** The most memory that the process ever had, in MB. */
function peakOf({ child }: Running): number {
  const kilobytes = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1];
  return Math.round(Number(kilobytes) / 1_000);
}

interface Took {
  /** To the first byte of the body and to its last, in ms. */
  readonly first: number;
  readonly total: number;
  readonly bytes: number;
}

const plainText = { accept: "text/plain", "accept-encoding": "identity" };
const plainTextZipped = { accept: "text/plain", "accept-encoding": "gzip" };
/** As Prometheus asks. */
const openMetrics = { accept: "application/openmetrics-text;version=1.0.0", "accept-encoding": "identity" };
const openMetricsZipped = { ...openMetrics, "accept-encoding": "gzip" };

async function scrape({ port }: Running, path: string, headers: Readonly<Record<string, string>>): Promise<Took> {
  const began = performance.now();
  const stop = new AbortController();
  const stream = await openBody({ to: { host: "127.0.0.1", port }, path, headers, signal: stop.signal });
  let first = 0;
  let bytes = 0;
  await stream.read((piece) => {
    if (first === 0) first = performance.now() - began;
    bytes += piece.length;
    return undefined;
  });
  return { first, total: performance.now() - began, bytes };
}
