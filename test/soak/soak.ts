import { readFileSync } from "node:fs";
import { eventually } from "../helpers/eventually.ts";
import type { Load, LoadEntry, LoadReport } from "../helpers/load/load.ts";
import { ask } from "../helpers/proxy.ts";
import { descriptorsOf, zombiesBelow } from "../helpers/restarts/leaks.ts";
import { PARENT_SHUTDOWN } from "../helpers/restarts/restarts.ts";
import { RestartRig } from "../helpers/restarts/rig.ts";
import { faults } from "./faults.ts";
import { Random } from "./random.ts";
import { type Facts, type Sample, tallyText, verdict } from "./report.ts";
import { SoakScene } from "./scene.ts";
import { READINESS } from "./windows.ts";

/** Longer than a hang is left alone (20 s), a probation and an overlap together. */
const QUIET_WITHIN = 90_000;

export interface SoakResult {
  readonly text: string;
  readonly good: boolean;
  /** What the proxy wrote. */
  readonly log: string;
}

/** Faults of chance under load for so many minutes. */
export async function soak(minutes: number, seed: number): Promise<SoakResult> {
  process.stdout.write(`soak: ${minutes} min, seed ${seed}\n`);
  let rig: RestartRig | undefined;
  try {
    rig = await RestartRig.start({ args: ["--probation", "2s"] }, (one) => {
      rig = one;
    });
    await rig.keeps();
    const facts = await run(rig, minutes, seed);
    return { text: tallyText(facts), good: verdict(facts).length === 0, log: rig.proxy.output };
  } finally {
    await rig?.done();
  }
}

async function run(rig: RestartRig, minutes: number, seed: number): Promise<Facts> {
  const scene = new SoakScene(rig, new Random(seed));
  const load = await rig.load(entriesOf(rig));
  const [samples, rounds, problems]: [Sample[], Map<string, number>, string[]] = [[], new Map(), []];
  const end = performance.now() + minutes * 60_000;
  samples.push(sampleOf(rig.proxy.pid));
  while (performance.now() < end && problems.length === 0) {
    const fault = scene.random.pick(faults);
    scene.say(`- ${fault.name}`);
    rounds.set(fault.name, (rounds.get(fault.name) ?? 0) + 1);
    await fault.make(scene);
    await quiet(scene, load).catch((error: unknown) => problems.push(`after "${fault.name}": ${String(error)}`));
    scene.closeWindows();
    samples.push(sampleOf(rig.proxy.pid));
    await scene.wait(0, 1_500);
  }
  const report = await load.stop();
  problems.push(...(await leavings(rig)));
  return { minutes, seed, rounds, report, windows: scene.windows, samples, problems, oldEnds: PARENT_SHUTDOWN };
}

/** A little of everything; slow answers so that something is always in flight. */
function entriesOf(rig: RestartRig): readonly LoadEntry[] {
  const { listener: port, status } = rig.ports;
  return [
    ...rig.entries(15),
    { name: "slow keep-alive", kind: "keep-alive", port, path: "/slow", clients: 1, pause: 15 },
    { name: "slow http2", kind: "http2", port, path: "/slow", clients: 1, pause: 15 },
    { name: READINESS, kind: "new-connection", port: status, path: "/healthz/ready", clients: 1, pause: 100 },
  ];
}

/** One Envoy alone, its listen sockets kept, and new requests go well. */
async function quiet({ rig }: SoakScene, load: Load): Promise<void> {
  await eventually(
    "one Envoy, alone, and ready",
    async () => {
      await rig.untilAlone(QUIET_WITHIN);
      return (await ask({ port: rig.ports.status }, "/healthz/ready")).status === 200;
    },
    QUIET_WITHIN,
  );
  await rig.keeps();
  const before = okOf(await load.tally());
  await eventually("every kind of load goes well", async () => {
    const now = okOf(await load.tally());
    return [...now].every(([name, ok]) => ok > (before.get(name) ?? 0));
  });
}

const okOf = (report: LoadReport): ReadonlyMap<string, number> =>
  new Map(Object.entries(report.tally.entries).map(([name, { ok }]) => [name, ok]));

function sampleOf(pid: number): Sample {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kilobytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]);
  return {
    at: performance.now(),
    residentKb: kilobytes("VmRSS"),
    ownKb: kilobytes("RssAnon"),
    descriptors: descriptorsOf(pid),
    zombies: zombiesBelow(pid).length,
  };
}

/** SIGTERM: a clean end, and nothing is left. */
async function leavings(rig: RestartRig): Promise<readonly string[]> {
  try {
    const exit = await rig.ends();
    return exit.code === 0 ? [] : [`exit code ${exit.code}, signal ${exit.signal}`];
  } catch (error) {
    return [String(error).split("\n")[0] ?? ""];
  }
}
