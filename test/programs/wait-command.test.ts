import { type ChildProcess, spawn } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { pilotfish, root, temporaryFolder } from "../helpers/paths.ts";

let folder: ReturnType<typeof temporaryFolder>;
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = temporaryFolder("wait-command");
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  folder.done();
});

const NOW = ["--for=file:/"];

function start(words: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const [program = "", ...rest] = words;
  const child = spawn(program, rest, {
    cwd: folder.path,
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  children.push(child);
  child.stdin.on("error", () => undefined);
  const said = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said.out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said.err += text));
  const ended = new Promise<{ readonly code: number | null; readonly signal: string | null }>((done) =>
    child.once("close", (code, signal) => done({ code, signal })),
  );
  return { child, said, ended };
}
const wait = (words: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  start([pilotfish, "wait", ...words], env);

async function finish(words: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { said, ended } = wait(words, env);
  return { ...(await ended), ...said };
}

/** --then-quit with a sidecar that is not there: the command runs below us. */
const below = async () => ["--then-quit", `--statusPort=${(await freePorts(1))[0]}`];
/** A program that names the signals it hears, and ends with 7 after the one that is said last. */
const hears = (last: string) => [
  process.execPath,
  "-e",
  `const names = process.argv.slice(1);
   for (const name of names) process.on(name, () => { console.log(name); if (name === ${JSON.stringify(last)}) process.exit(7); });
   console.log("up"); setInterval(() => {}, 1000);`,
];

describe("a command behind --", () => {
  test("is the same process, with what it was given: streams, folder, environment, limits, signals", async () => {
    const script = `echo $$; pwd; cat; ulimit -Sn; grep -E "^Sig(Blk|Ign)" /proc/self/status; tr "\\0" "\\n" </proc/$$/environ`;
    const run = start(
      ["sh", "-c", `ulimit -Sn 777; exec "$0" wait ${NOW.join(" ")} -- sh -c "$1"`, pilotfish, script],
      { MINE: "a b", EMPTY: "", MALLOC_ARENA_MAX: "3" },
    );
    run.child.stdin.end("from outside\n");
    expect(await run.ended).toEqual({ code: 0, signal: null });
    expect(run.said.err).toBe("");
    const [pid, at, ...rest] = run.said.out.trimEnd().split("\n");
    expect(pid).toBe(String(run.child.pid));
    expect(at).toBe(folder.path);
    expect(rest.slice(0, 4)).toEqual(["from outside", "777", "SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"]);
    const variables = rest.slice(4).filter((line) => !/^(PATH|PWD|OLDPWD|_)=/.test(line));
    expect(variables.sort()).toEqual(["EMPTY=", "MALLOC_ARENA_MAX=3", "MINE=a b"]);
  });

  test.each([0, 1, 3, 255])("its exit code %d is ours", async (code) => {
    const seen = await finish([...NOW, "--", "sh", "-c", `exit ${code}`]);
    expect(seen).toEqual({ code, signal: null, out: "", err: "" });
  });

  test("flags behind -- are its own, and its death by a signal is ours", async () => {
    const words = ["--", "sh", "-c", 'echo "$@"; kill -ABRT $$', "sh", "--for", "x", "$(NOT_OURS)"];
    expect(await finish([...NOW, ...words])).toEqual({
      code: null,
      signal: "SIGABRT",
      out: "--for x $(NOT_OURS)\n",
      err: "",
    });
  });

  test("does not start before everything is there", async () => {
    const run = wait(["--for=file:ready", "--periodMillis=20", "--", "sh", "-c", "echo started; exit 4"]);
    await eventually("the reason is told", () => run.said.err.includes("file:ready: there is no such file"));
    expect(run.said.out).toBe("");
    writeFileSync(join(folder.path, "ready"), "");
    expect(await run.ended).toEqual({ code: 4, signal: null });
    expect(run.said.out).toBe("started\n");
    expect(run.said.err).toMatch(/pilotfish: file:ready is ready after \d+\.\d s\n$/);
  });

  test("never starts when the time is over", async () => {
    const seen = await finish(["--for=file:never", "--timeoutSeconds=0", "--", "touch", "started"]);
    expect(seen).toMatchObject({ code: 1, signal: null });
    expect(existsSync(join(folder.path, "started"))).toBe(false);
  });

  test.each([
    [["nobody-has-this"], 127, '"nobody-has-this": no such file or directory'],
    [["/"], 126, '"/": permission denied'],
    [["./plain"], 126, '"./plain": permission denied'],
  ])("%j is %d, as in a shell", async (command, code, text) => {
    writeFileSync(join(folder.path, "plain"), "", { mode: 0o644 });
    for (const mode of [[], await below()]) {
      const seen = await finish([...NOW, ...mode, "--", ...command]);
      expect(seen.err).toContain(`pilotfish: cannot run ${text}`);
      expect(seen.code).toBe(code);
    }
  });
});

describe.each(["in our place", "below us", "without native calls"])("a command %s", (way) => {
  async function run(command: readonly string[]) {
    if (way === "in our place") return wait([...NOW, "--", ...command]);
    if (way === "below us") return wait([...NOW, ...(await below()), "--", ...command]);
    // A bundle from which koffi can't be found.
    const bundle = join(folder.path, "bare.cjs");
    copyFileSync(join(root, "dist/pilotfish.cjs"), bundle);
    return start([process.execPath, bundle, "wait", ...NOW, "--", ...command]);
  }
  const names = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR2", "SIGCONT", "SIGWINCH", "SIGALRM", "SIGTERM"] as const;

  test("hears every signal once, and its exit code comes back", async () => {
    const { child, said, ended } = await run([...hears("SIGTERM"), ...names]);
    await eventually("it is up", () => said.out === "up\n");
    for (const name of names) {
      child.kill(name);
      await eventually(`it hears ${name}`, () => said.out.endsWith(`${name}\n`));
    }
    expect(await ended).toEqual({ code: 7, signal: null });
    expect(said.out).toBe(`up\n${names.join("\n")}\n`);
  });

  test.each([
    ["SIGTERM", 143],
    ["SIGKILL", 137],
    ["SIGSEGV", 139],
  ] as const)("that dies of %s is told as that", async (signal, code) => {
    const { ended } = await run(["sh", "-c", `kill -${signal.slice(3)} $$`]);
    expect(await ended).toEqual(way === "in our place" ? { code: null, signal } : { code, signal: null });
  });
});

describe("as PID 1", () => {
  const asPid1 = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"];
  /** The process below `unshare`, by its number out here. */
  const inner = (pid: number | undefined) =>
    eventually("unshare has a child", () => {
      const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
      return text === "" ? undefined : Number(text);
    });

  test.each([
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const)("%s ends a wait: an init container does not hang until it is killed", async (signal, code) => {
    const run = start([...asPid1, pilotfish, "wait", "--for=file:never"]);
    await eventually("it waits", () => run.said.err.includes("waiting for"));
    process.kill(await inner(run.child.pid), signal);
    expect(await run.ended).toEqual({ code, signal: null });
  });

  test("the command becomes PID 1", async () => {
    const run = start([...asPid1, pilotfish, "wait", ...NOW, "--", "sh", "-c", "echo $$; exit 6"]);
    expect(await run.ended).toEqual({ code: 6, signal: null });
    expect(run.said.out).toBe("1\n");
  });

  test("above a command, orphans are taken off the process table", async () => {
    // The orphan writes its number and ends; it is gone when nothing of it is left in /proc, also no zombie.
    const script = `(sh -c 'echo $$ > orphan' &)
      for n in $(seq 1 100000); do [ -s orphan ] && [ ! -e "/proc/$(cat orphan)" ] && exit 8; done; exit 9`;
    const run = start([...asPid1, pilotfish, "wait", ...NOW, ...(await below()), "--", "sh", "-c", script]);
    expect(await run.ended).toEqual({ code: 8, signal: null });
  });
});

describe("on a terminal", () => {
  /** `script` runs a command on a terminal of its own, and its keyboard is our pipe. */
  const onTerminal = (words: readonly string[]) =>
    start([
      "script",
      "-qec",
      `exec ${words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ")}`,
      "/dev/null",
    ]);

  test("one line is written over and over, and goes away", async () => {
    const words = [pilotfish, "wait", "--for=file:ready", "--periodMillis=20", "--maxPeriodMillis=50"];
    const run = onTerminal(words);
    await eventually("some rounds", () => run.said.out.split("waiting for file:ready").length > 3);
    expect(run.said.out).not.toContain("\n");
    writeFileSync(join(folder.path, "ready"), "");
    expect(await run.ended).toEqual({ code: 0, signal: null });
    expect(run.said.out.split("\r\x1b[2K").at(-1)).toMatch(/^pilotfish: ready after \d+\.\d s\r\n$/);
  });

  test("Ctrl-C reaches a command below us once, and does not end us before it", async () => {
    const program = `process.on("SIGINT", () => console.log("INT"));
      process.stdin.setEncoding("utf8").on("data", (text) => { if (text.includes("end")) process.exit(5); });
      console.log("up");`;
    const run = onTerminal([pilotfish, "wait", ...NOW, ...(await below()), "--", process.execPath, "-e", program]);
    await eventually("it is up", () => run.said.out.includes("up"));
    run.child.stdin.write("\x03");
    await eventually("it hears Ctrl-C", () => run.said.out.includes("INT"));
    run.child.stdin.write("end\n");
    expect(await run.ended).toEqual({ code: 5, signal: null });
    expect(run.said.out.split("INT").length - 1).toBe(1);
  });
});
