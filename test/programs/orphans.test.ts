import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { root } from "../helpers/paths.ts";

const run = promisify(execFile);
const program = join(root, "test/programs/bin/many-orphans.ts");

async function facts(prefix: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const words = [...prefix, process.execPath, program, "1000", "50"];
  const { stdout } = await run(words[0] ?? "", words.slice(1), { env: { ...process.env, ...env } });
  return JSON.parse(stdout) as { pid: number; subreaper: boolean; wrong: number; zombies: number };
}

const asPid1 = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];

test("as PID 1: 1,000 orphans beside 50 own children, no zombie, no exit code lost", async () => {
  expect(await facts(asPid1)).toEqual({ pid: 1, subreaper: true, wrong: 0, zombies: 0 });
});

test("as subreaper: the same", async () => {
  expect(await facts([])).toMatchObject({ subreaper: true, wrong: 0, zombies: 0 });
});

test("without the reaper they stay: the test can fail", async () => {
  expect((await facts(asPid1, { WITHOUT_REAPER: "1" })).zombies).toBeGreaterThan(100);
});
