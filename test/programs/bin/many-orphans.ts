// Becomes the parent of many orphans (PID 1 or subreaper) beside own children, and prints what it saw as one JSON line.
//   node many-orphans.ts ORPHANS OWN
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { native } from "../../../src/system/native.ts";
import { installReaper } from "../../../src/system/orphans.ts";

const [orphans, own] = process.argv.slice(2).map(Number) as [number, number];
const calls = native();
if (calls === undefined) throw new Error("no native calls");
const subreaper = process.pid === 1 || calls.becomeSubreaper();
const uninstall = process.env["WITHOUT_REAPER"] === undefined ? installReaper(calls) : () => undefined;

const exitOf = (program: string, args: readonly string[]): Promise<number | null> =>
  new Promise((resolve) => spawn(program, [...args], { stdio: "ignore" }).once("exit", (code) => resolve(code)));

/** Zombies below us. */
const zombies = (): number =>
  readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8").split(") ").pop()?.split(" ") ?? [];
      return stat[0] === "Z" && Number(stat[1]) === process.pid;
    } catch {
      return false;
    }
  }).length;

const before = process.cpuUsage();
// Each shell leaves orphans behind: the subshell ends before its child does.
const perShell = 100;
const makers = Array.from({ length: Math.ceil(orphans / perShell) }, () =>
  exitOf("sh", ["-c", `i=0; while [ $i -lt ${perShell} ]; do (sh -c : &); i=$((i+1)); done; exit 9`]),
);
const codes = Array.from({ length: own }, (_, index) => exitOf("sh", ["-c", `exit ${index % 200}`]));
const made = await Promise.all(makers);
const seen = await Promise.all(codes);
const { user, system } = process.cpuUsage(before);
const cpuMs = (user + system) / 1_000;
const wrong = seen.filter((code, index) => code !== index % 200).length + made.filter((code) => code !== 9).length;
// The last orphans may still run: zombies must reach zero, within a generous time.
const end = performance.now() + 20_000;
let left = zombies();
while (left > 0 && performance.now() < end && process.env["WITHOUT_REAPER"] === undefined) {
  await new Promise((resolve) => setTimeout(resolve, 20));
  left = zombies();
}
uninstall();
process.stdout.write(
  `${JSON.stringify({ pid: process.pid, subreaper, wrong, zombies: left, ...(process.env["PRINT_CPU"] ? { cpuMs } : {}) })}\n`,
);
process.exit(0);
