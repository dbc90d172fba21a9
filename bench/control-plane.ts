import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { noLog } from "../src/foundation/log.ts";
import { noIdentityMetrics } from "../src/identity/identity-metrics.ts";
import { createWorkloadIdentity } from "../src/identity/workload-identity.ts";
import { discoveryRequest } from "../src/protocol/messages.ts";
import { paths, typeUrls } from "../src/protocol/names.ts";
import { createSdsServer } from "../src/sds/sds-server.ts";
import { realClock } from "../src/system/clock.ts";
import { eventually } from "../test/helpers/eventually.ts";
import { root } from "../test/helpers/paths.ts";
import { drawPorts, ProxyRun, portSettings } from "../test/helpers/proxy.ts";
import { type World, world } from "../test/identity/harness.ts";
import { type RawEnvoy, rawEnvoy } from "../test/xds/wire.ts";
import { type BenchGroup, median, type Row, spread } from "./row.ts";

const MB = 2 ** 20;
const cluster = (name: string, size: number, fill: number) => ({
  typeUrl: typeUrls.cluster,
  name,
  value: Buffer.alloc(size, fill),
});
const ask = (typeUrl: string, more = {}): Buffer => discoveryRequest.encode({ typeUrl, ...more });

/** CPU time of a process in ms, from the scheduler's own count, over all its threads. */
function cpu(pid: number): number {
  const tasks = execFileSync("sh", ["-c", `cat /proc/${pid}/task/*/schedstat`])
    .toString()
    .trim()
    .split("\n");
  return tasks.reduce((sum, line) => sum + Number(line.split(" ")[0]) / 1e6, 0);
}

const status = (pid: number, field: string): number =>
  Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;

interface Agent {
  readonly w: World;
  readonly run: ProxyRun;
  readonly envoy: RawEnvoy;
  done(): Promise<void>;
}

/** The built agent without its Envoy, before the embedded control plane over TLS; we stand in Envoy's place. */
async function agent(): Promise<Agent> {
  const w = await world();
  const ports = await drawPorts();
  const { args, env } = portSettings(ports);
  const run = new ProxyRun({
    args: [...args, "--discoveryAddress", `127.0.0.1:${w.plane.tlsPort}`],
    env: { ...env, DISABLE_ENVOY: "true", ISTIOD_SAN: "istiod.istio-system.svc", SERVICE_ACCOUNT: "bench" },
    files: {
      "var/run/secrets/istio/root-cert.pem": w.plane.rootCertificate(),
      "var/run/secrets/tokens/istio-token": "a-token",
    },
  });
  const socket = join(run.folder.path, "etc/istio/proxy/XDS");
  await eventually("the agent's certificate", () => w.plane.status().issued > 0);
  const envoy = rawEnvoy(socket);
  return {
    w,
    run,
    envoy,
    done: async () => {
      envoy.close();
      await run.done();
      await w.done();
    },
  };
}

/** Messages that came so far; they are let go, so that the measuring process does not grow. */
async function received(envoy: RawEnvoy, count: number): Promise<void> {
  await eventually(`${count} messages`, () => envoy.messages.length >= count, 120_000);
  envoy.messages.length = 0;
}

async function largePushes(): Promise<readonly Row[]> {
  const { w, run, envoy, done } = await agent();
  try {
    const push = async (fill: number): Promise<number> => {
      const before = cpu(run.pid);
      w.plane.setResources(Array.from({ length: 1_000 }, (_, n) => cluster(`c${n}`, 20_000, fill)));
      await received(envoy, 1);
      return cpu(run.pid) - before;
    };
    w.plane.setResources([cluster("first", 10, 0)]);
    envoy.send(ask(typeUrls.cluster));
    await received(envoy, 1);
    const [idle, own] = [status(run.pid, "VmRSS"), status(run.pid, "RssAnon")];
    const costs: number[] = [];
    for (let n = 1; n <= 8; n++) costs.push(await push(n));
    const peak = status(run.pid, "VmHWM");
    await eventually("memory given back", () => status(run.pid, "RssAnon") < own + 2, 20_000).catch(() => undefined);
    const after = status(run.pid, "VmRSS");
    const ownAfter = status(run.pid, "RssAnon");
    const cost = median(costs.slice(1));
    return [
      {
        what: "20 MB push: our CPU, TLS included",
        value: spread(costs.slice(1), "ms"),
        goal: "<= 50 ms",
        met: cost <= 50,
      },
      { what: "20 MB push: peak RSS", value: `${peak.toFixed(0)} MB`, goal: "<= 100 MB", met: peak <= 100 },
      { what: "20 MB push: RSS before, and after a rest", value: `${idle.toFixed(0)} MB, ${after.toFixed(0)} MB` },
      {
        what: "20 MB push: own memory (RssAnon) before, and after a rest",
        value: `${own.toFixed(1)} MB, ${ownAfter.toFixed(1)} MB`,
      },
    ];
  } finally {
    await done();
  }
}

async function smallPushes(): Promise<readonly Row[]> {
  const { w, run, envoy, done } = await agent();
  try {
    w.plane.setResources([cluster("first", 10, 0)]);
    envoy.send(ask(typeUrls.cluster));
    await received(envoy, 1);
    const before = cpu(run.pid);
    for (let n = 0; n < 10_000; n++) {
      w.plane.setResources([{ ...cluster("one", 2_000, 1), value: Buffer.from(String(n).padEnd(2_000)) }]);
      if (n % 100 === 99) await received(envoy, 100);
    }
    const used = cpu(run.pid) - before;
    return [
      { what: "10,000 x 2 kB pushes: our CPU each", value: `${((used / 10_000) * 1_000).toFixed(0)} us` },
      { what: "10,000 x 2 kB pushes: peak RSS", value: `${status(run.pid, "VmHWM").toFixed(0)} MB` },
    ];
  } finally {
    await done();
  }
}

/** From the start of the identity, before which Envoy has asked, to the secret in Envoy's hands. */
async function csrToPush(key: { type: "rsa"; bits: number } | { type: "ecdsa"; curve: "P256" }): Promise<Row> {
  const w = await world();
  const times: number[] = [];
  try {
    for (let n = 0; n < 12; n++) {
      const config = w.config({ certificate: { ...w.config().certificate, key } });
      const identity = createWorkloadIdentity({
        config,
        clock: realClock,
        random: Math.random,
        log: noLog,
        metrics: noIdentityMetrics,
      });
      const sds = createSdsServer({
        settings: config.sds,
        identity,
        clock: realClock,
        debounce: 100,
        log: noLog,
        onFileFailure: () => undefined,
        onBug: () => undefined,
      });
      await sds.listen();
      const envoy = rawEnvoy(config.sds.socket, paths.streamSecrets);
      envoy.send(ask(typeUrls.secret, { resourceNames: ["default"] }));
      await eventually("the subscription", () => sds.status().asked.length === 1);
      const started = performance.now();
      const arrived = new Promise<number>((resolve) => envoy.stream.once("data", () => resolve(performance.now())));
      identity.start();
      times.push((await arrived) - started);
      envoy.close();
      await identity.stop();
      await sds.close();
    }
    // The first one loads what speaks to the CA.
    return {
      what: `key, CSR, SDS push: ${key.type === "rsa" ? "RSA 2048" : "P-256"}`,
      value: spread(times.slice(1), "ms"),
    };
  } finally {
    await w.done();
  }
}

async function rotations(): Promise<readonly Row[]> {
  const w = await world();
  try {
    // Renewed as soon as the least holding time is over; nothing is waited for in real time.
    const config = w.config({ certificate: { ...w.config().certificate, graceRatio: 1, graceJitter: 0 } });
    const program = join(root, "bench/rotations-program.ts");
    const child = spawn(process.execPath, ["--expose-gc", program, JSON.stringify(config), "1000"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    child.stdout.on("data", (text: Buffer) => {
      said += text.toString();
    });
    await new Promise((resolve) => child.once("exit", resolve));
    const [early, late] = said
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { rss: number; heapUsed: number });
    if (early === undefined || late === undefined) throw new Error(`the program said: ${said}`);
    const show = (bytes: number): string => `${(bytes / MB).toFixed(1)} MB`;
    return [
      { what: "heap after 100 and after 1,000 rotations", value: `${show(early.heapUsed)}, ${show(late.heapUsed)}` },
      { what: "RSS after 100 and after 1,000 rotations", value: `${show(early.rss)}, ${show(late.rss)}` },
    ];
  } finally {
    await w.done();
  }
}

export const groups: readonly BenchGroup[] = [
  {
    name: "control-plane",
    run: async () => [
      await csrToPush({ type: "ecdsa", curve: "P256" }),
      await csrToPush({ type: "rsa", bits: 2048 }),
      ...(await largePushes()),
      ...(await smallPushes()),
      ...(await rotations()),
    ],
  },
];
