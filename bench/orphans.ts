import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { root } from "../test/helpers/paths.ts";
import { type BenchGroup, median, type Row, spread } from "./row.ts";

const run = promisify(execFile);

/** Processor time of one run of the parent itself, its children not counted, in ms. */
async function parentTime(withReaper: boolean): Promise<number> {
  const program = join(root, "test/programs/bin/many-orphans.ts");
  const env = { ...process.env, PRINT_CPU: "1", ...(withReaper ? {} : { WITHOUT_REAPER: "1" }) };
  const { stdout } = await run(
    "unshare",
    ["--pid", "--fork", "--mount-proc", "--kill-child", process.execPath, program, "1000", "0"],
    { env },
  );
  return (JSON.parse(stdout) as { cpuMs: number }).cpuMs;
}

async function orphans(): Promise<readonly Row[]> {
  const [reaped, left]: [number[], number[]] = [[], []];
  for (let round = 0; round < 7; round++) {
    reaped.push(await parentTime(true));
    left.push(await parentTime(false));
  }
  const net = median(reaped) - median(left);
  return [
    {
      what: "1,000 orphans reaped, processor time",
      value: `${net.toFixed(0)} ms net`,
      against: `with ${spread(reaped, "ms")}, without the reaper ${spread(left, "ms")}`,
      goal: "< 30 ms",
      met: net < 30,
    },
  ];
}

export const groups: readonly BenchGroup[] = [{ name: "orphans", run: orphans }];
