import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { eventually } from "../test/helpers/eventually.ts";
import { pilotfish, temporaryFolder } from "../test/helpers/paths.ts";
import type { BenchGroup, Row } from "./row.ts";

/** The injection webhook as an API server uses it: TLS, kept connections, one small pod a review. */
export const groups: readonly BenchGroup[] = [{ name: "webhook", run: measure }];

const body = JSON.stringify({
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: {
    uid: "u",
    operation: "CREATE",
    namespace: "shop",
    object: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { generateName: "web-7d4b9c6f5-", labels: { app: "web" } },
      spec: {
        containers: [
          {
            name: "web",
            image: "web:1",
            ports: [{ containerPort: 80 }],
            readinessProbe: { httpGet: { path: "/", port: 80 } },
          },
        ],
      },
    },
  },
});

async function measure(): Promise<readonly Row[]> {
  const folder = temporaryFolder("bench-webhook");
  const words = [
    "--host",
    "127.0.0.1",
    "--port",
    "0",
    "--monitoringPort",
    "-1",
    "--serverName",
    "localhost",
    "--log_as_json",
  ];
  const program = spawn(pilotfish, ["webhook", "--selfMade", folder.path, ...words], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let log = "";
  program.stdout.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const port = Number((await eventually("the webhook serves", () => /"port":(\d+)/.exec(log) ?? undefined))[1]);
  const agent = new Agent({ keepAlive: true, maxSockets: 64, ca: readFileSync(join(folder.path, "ca.crt")) });
  try {
    await flood(port, agent, 500);
    const paced = await pace(port, agent, 200, 10);
    const [started, cpu] = [performance.now(), cpuOf(program.pid ?? 0)];
    await flood(port, agent, 3_000);
    const seconds = (performance.now() - started) / 1_000;
    const each = (cpuOf(program.pid ?? 0) - cpu) / 3_000;
    const p99 = at(paced, 0.99);
    return [
      {
        what: "review at 200 a second, p50 / p99",
        value: `${at(paced, 0.5).toFixed(1)} / ${p99.toFixed(1)} ms`,
        goal: "p99 < 50 ms",
        met: p99 < 50,
      },
      {
        what: "as many as it can, 32 at a time",
        value: `${Math.round(3_000 / seconds)} a second`,
        goal: "200 a second",
        met: 3_000 / seconds > 200,
      },
      { what: "processor time of a review", value: `${each.toFixed(2)} ms` },
      { what: "memory (RSS) afterwards", value: `${Math.round(rssOf(program.pid ?? 0))} MB` },
    ];
  } finally {
    agent.destroy();
    const gone = new Promise((resolve) => program.once("exit", resolve));
    program.kill("SIGTERM");
    await gone;
    folder.done();
  }
}

const at = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN;
const rssOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1_024;
/** Processor time in ms; the kernel counts in hundredths of a second. */
const cpuOf = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
};

/** One review; its time in ms. */
function send(port: number, agent: Agent): Promise<number> {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: "127.0.0.1",
        servername: "localhost",
        port,
        agent,
        method: "POST",
        path: "/inject",
        headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      },
      (incoming) => {
        incoming.resume();
        incoming.on("end", () =>
          incoming.statusCode === 200
            ? resolve(performance.now() - started)
            : reject(new Error(`${incoming.statusCode}`)),
        );
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

async function flood(port: number, agent: Agent, count: number): Promise<void> {
  let left = count;
  const one = async (): Promise<void> => {
    while (left-- > 0) await send(port, agent);
  };
  await Promise.all(Array.from({ length: 32 }, one));
}

/** Reviews at even distances, whether or not the one before has been answered. */
async function pace(port: number, agent: Agent, rate: number, seconds: number): Promise<readonly number[]> {
  const sent: Promise<number>[] = [];
  const begin = performance.now();
  for (let index = 0; index < rate * seconds; index++) {
    const wait = begin + (index * 1_000) / rate - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    sent.push(send(port, agent));
  }
  return Promise.all(sent);
}
