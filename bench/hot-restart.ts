import { readFileSync } from "node:fs";
import { eventually } from "../test/helpers/eventually.ts";
import { type Load, preciseNow } from "../test/helpers/load/load.ts";
import { ask } from "../test/helpers/proxy.ts";
import { RestartRig } from "../test/helpers/restarts/rig.ts";
import { type BenchGroup, type Row, spread } from "./row.ts";

const ROUNDS = 5;
/** A crash sooner than this after the one before waits for a back-off: then we would measure that. */
const GOOD_RUN = 6_000;

/** Memory of a process in MB: resident, and with shared pages counted once over all who share them. */
function memoryOf(pid: number): { readonly rss: number; readonly pss: number } {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const mega = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(rollup)?.[1] ?? Number.NaN) / 1024;
  return { rss: mega("Rss"), pss: mega("Pss") };
}

const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0);

/** Four clients with a connection of their own for each request: whoever is refused is counted. */
const someLoad = (rig: RestartRig): Promise<Load> =>
  rig.load([{ kind: "new-connection", port: rig.ports.listener, clients: 4, pause: 5 }]);

async function hotRestarts(rig: RestartRig): Promise<readonly Row[]> {
  const [live, rss, pss]: [number[], number[], number[]] = [[], [], []];
  const alone = memoryOf(await onlyPid(rig));
  const load = await someLoad(rig);
  for (let round = 0; round < ROUNDS; round++) {
    const answer = await rig.command("--wait");
    if (answer.code !== 0) throw new Error(answer.said);
    const both = (await rig.envoys()).map(({ pid }) => memoryOf(pid));
    rss.push(sum(both.map((one) => one.rss)));
    pss.push(sum(both.map((one) => one.pss)));
    await rig.untilAlone();
  }
  const report = await load.stop();
  for (const [, took] of rig.proxy.output.matchAll(/The new Envoy serves.*?tookMs[=":]+(\d+)/g))
    live.push(Number(took));
  const one = `one Envoy ${alone.rss.toFixed(0)}`;
  return [
    { what: "exec to LIVE of the child", value: spread(live, "ms") },
    { what: "both Envoys in the overlap, RSS", value: spread(rss, "MB"), against: `${one} MB` },
    { what: "both Envoys in the overlap, PSS", value: spread(pss, "MB"), against: `${alone.pss.toFixed(0)} MB` },
    {
      what: `failed of ${report.requests} requests over ${ROUNDS} hot restarts`,
      value: String(report.failed),
      goal: "0",
      met: report.failed === 0,
    },
  ];
}

const onlyPid = async (rig: RestartRig): Promise<number> => (await rig.untilAlone()).pid;

/** From SIGKILL to the first answer to a request that began after it. */
async function killOnce(rig: RestartRig): Promise<number> {
  process.kill(await onlyPid(rig), "SIGKILL");
  const killed = preciseNow();
  await eventually("an answer", async () => (await ask({ port: rig.ports.listener }, "/")).status === 200);
  return preciseNow() - killed;
}

async function crashes(rig: RestartRig): Promise<readonly Row[]> {
  const serving: number[] = [];
  await rig.keeps(rig.ports.listener);
  const load = await someLoad(rig);
  for (let round = 0; round < ROUNDS; round++) {
    serving.push(await killOnce(rig));
    await rig.untilAlone();
    await new Promise((resolve) => setTimeout(resolve, GOOD_RUN));
    await rig.keeps(rig.ports.listener);
  }
  const report = await load.stop();
  const refused = report.count("refused");
  return [
    { what: "SIGKILL of Envoy to the first answer", value: spread(serving, "ms") },
    {
      what: `refused of ${report.requests} new connections, ${ROUNDS} kills`,
      value: String(refused),
      against: `${report.failed - refused} in flight on the dead one`,
      goal: "0",
      met: refused === 0,
    },
  ];
}

async function run(): Promise<readonly Row[]> {
  const rigs: RestartRig[] = [];
  try {
    const rig = await RestartRig.start({}, (one) => rigs.push(one));
    return [...(await hotRestarts(rig)), ...(await crashes(rig))];
  } finally {
    await Promise.all(rigs.map((one) => one.done()));
  }
}

export const groups: readonly BenchGroup[] = [{ name: "hot-restart", run }];
