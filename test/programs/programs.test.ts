import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CannotStartProgram, type ExitReport, runProgram, startProgram } from "../../src/system/programs.ts";
import { alive } from "../helpers/alive.ts";
import { eventually } from "../helpers/eventually.ts";
import { temporaryFolder } from "../helpers/paths.ts";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder("programs");
});
afterEach(() => folder.done());

const environment = new Map([["PATH", process.env["PATH"] ?? ""]]);

function script(name: string, text: string): string {
  const path = join(folder.path, name);
  writeFileSync(path, text);
  chmodSync(path, 0o755);
  return path;
}

const exitOf = (path: string, dieWithUs = false): Promise<ExitReport> =>
  new Promise((onExit) => startProgram(path, [], { environment, dieWithUs }, { onExit }));

describe.each([false, true])("a program (dieWithUs: %s)", (dieWithUs) => {
  test.each([0, 1, 42, 255])("exit code %d arrives", async (code) => {
    expect(await exitOf(script("p", `#!/bin/sh\nexit ${code}\n`), dieWithUs)).toEqual({ how: "exited", code });
  });
  test("a signal arrives by name", async () => {
    expect(await exitOf(script("p", "#!/bin/sh\nkill -SEGV $$\n"), dieWithUs)).toEqual({
      how: "killed",
      signal: "SIGSEGV",
    });
  });
  test("a signal to the group reaches its helpers, and the end is seen once", async () => {
    const path = script("p", `#!/bin/sh\nsleep 1000 &\necho $! > ${folder.path}/helper\nwait\n`);
    const exits: ExitReport[] = [];
    const program = startProgram(path, [], { environment, dieWithUs }, { onExit: (exit) => exits.push(exit) });
    const helper = await eventually("the helper's pid", () => readNumber(join(folder.path, "helper")));
    expect(program.signalGroup("SIGKILL")).toBe("sent");
    await eventually("both are gone", () => exits.length === 1 && !alive(helper));
    expect(program.signal("SIGTERM")).toBe("gone");
    expect(program.signalGroup("SIGTERM")).toBe("gone");
  });
  test("what it leaves in its group can be ended after it", async () => {
    const path = script("p", `#!/bin/sh\nsleep 1000 &\necho $! > ${folder.path}/helper\nexit 3\n`);
    const exits: ExitReport[] = [];
    const program = startProgram(path, [], { environment, dieWithUs }, { onExit: (exit) => exits.push(exit) });
    const helper = await eventually("the helper's pid", () => readNumber(join(folder.path, "helper")));
    await eventually("the program has ended", () => exits.length === 1);
    program.endGroup();
    await eventually("the helper is gone", () => !alive(helper));
  });
});

async function readNumber(path: string): Promise<number | undefined> {
  const { stdout } = await runProgram("cat", [path], { timeout: 5_000 });
  return stdout.trim() === "" ? undefined : Number(stdout);
}

const cannotStart: Readonly<Record<string, (path: string) => void>> = {
  missing: () => undefined,
  "not executable": (path) => writeFileSync(path, "x"),
  "a directory": (path) => mkdirSync(path),
};

test.each([
  ["missing", "ENOENT"],
  ["not executable", "EACCES"],
  ["a directory", "EACCES"],
])("a program that is %s cannot be started", (title, code) => {
  const path = join(folder.path, "p");
  cannotStart[title]?.(path);
  const start = () => startProgram(path, [], { environment }, { onExit: () => undefined });
  expect(start).toThrow(CannotStartProgram);
  expect(start).toThrow(code);
});

describe("runProgram", () => {
  test("collects both outputs and the code", async () => {
    const done = await runProgram("sh", ["-c", "cat; echo err >&2; exit 7"], { timeout: 5_000, input: "in" });
    expect(done).toEqual({ exit: { how: "exited", code: 7 }, stdout: "in", stderr: "err\n" });
  });
  test("ends what takes too long, with everything below it", async () => {
    const done = await runProgram("sh", ["-c", "sleep 1000 & sleep 1000"], { timeout: 200 });
    expect(done.exit).toEqual({ how: "timed-out" });
  });
  test("says when it could not start", async () => {
    expect((await runProgram("/nowhere/x", [], { timeout: 500 })).exit).toMatchObject({ how: "not-started" });
  });
});
