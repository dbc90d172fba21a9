import { type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { pilotfish, temporaryFolder } from "../helpers/paths.ts";

const folder = temporaryFolder("install");
/** Another image: a root directory with nothing in it but the shared folder. */
const image = join(folder.path, "image");
const dir = join(image, "pilotfish");
const installed = join(dir, "pilotfish");
let first: ReturnType<typeof run>;

function run(program: string, words: readonly string[], options: SpawnOptions = {}) {
  const { status, stdout, stderr, signal } = spawnSync(program, [...words], { timeout: 50_000, ...options });
  return { status, signal, out: String(stdout), err: String(stderr) };
}

/** Every file below, with what a second run must not change. */
const filesOf = (at: string): readonly string[] =>
  readdirSync(at, { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile())
    .map((one) => join(one.parentPath, one.name))
    .sort();

beforeAll(() => {
  chmodSync(folder.path, 0o755);
  mkdirSync(image);
  first = run("sh", ["-c", 'umask 077; exec "$0" install "$1"/', pilotfish, dir]);
});
afterAll(() => folder.done());

describe("install", () => {
  test("says what it copied, how large it is, and how to run it", () => {
    expect(first).toMatchObject({ status: 0, err: "" });
    const lines = first.out.trimEnd().split("\n");
    expect(lines[0]).toMatch(new RegExp(`^pilotfish: installed in ${dir}, 1\\d\\d\\.\\d MB in \\d+ files:$`));
    expect(lines.slice(1, -1).map((line) => line.replace(/[\d.]+ MB/, "N"))).toEqual([
      "  node: N",
      "  bundle: N",
      "  libraries: N",
      "  native calls: N",
      "  launcher: N",
    ]);
    expect(lines.at(-1)).toBe(`run it as ${installed} wait … or ${installed} request …`);
  });

  test("every file and folder may be used by anybody, whatever the umask was", () => {
    const all = [dir, ...readdirSync(dir, { recursive: true }).map((one) => join(dir, String(one)))];
    expect(all.filter((path) => (statSync(path).mode & 0o777) !== 0o755)).toEqual([]);
    expect(all.length).toBeGreaterThan(10);
  });

  test("again, while it is running: the same files are left alone, a damaged one is put right", async () => {
    const child = spawn(installed, ["wait", "--for=file:/nowhere"], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    await eventually("it runs", () => said.includes("waiting for"));
    const bundle = join(dir, "lib/pilotfish.cjs");
    writeFileSync(bundle, "half of it");
    utimesSync(join(dir, "lib/node"), 1, 1);
    const again = run(pilotfish, ["install", dir]);
    expect(again).toMatchObject({ status: 0, err: "" });
    expect(again.out).toMatch(
      / {2}node: [\d.]+ MB, there already\n {2}bundle: [\d.]+ MB\n {2}libraries: .*, there already/,
    );
    expect(statSync(join(dir, "lib/node")).mtimeMs).toBe(1_000);
    expect(run(installed, ["version"])).toMatchObject({ status: 0, err: "" });
    child.kill("SIGKILL");
    await new Promise((done) => child.once("close", done));
  });

  test.each([
    [[], 64, "DIR: no folder was given; write pilotfish install DIR"],
    [["a", "b"], 64, "DIR: one folder is enough, not 2"],
    [["/proc/nowhere/x"], 69, 'cannot install into "/proc/nowhere/x": no such file or directory'],
    [["/etc/passwd"], 69, 'cannot install into "/etc/passwd": '],
  ] as const)("%j is %d", (words, code, text) => {
    const seen = run(pilotfish, ["install", ...words]);
    expect(seen.err).toContain(text);
    expect(seen).toMatchObject({ status: code, out: "" });
  });

  test("no room: it says so, and leaves no half file", () => {
    const script =
      'mount -t tmpfs -o size=1m none "$1" && "$0" install "$1/x"; code=$?; find "$1" -name "*.new"; exit $code';
    const small = join(folder.path, "small");
    mkdirSync(small);
    const seen = run("unshare", ["--mount", "--map-root-user", "sh", "-c", script, pilotfish, small]);
    expect(seen.err).toContain("no space left on the device (ENOSPC)");
    expect(seen).toMatchObject({ status: 69, out: "" });
  });
});

describe("the copy", () => {
  const bare = { env: {}, cwd: "/" };

  test("runs without PATH, from anywhere, and through a link", () => {
    const link = join(folder.path, "link");
    symlinkSync("image/pilotfish/pilotfish", link);
    expect(run(installed, ["version", "--short"], bare)).toMatchObject({ status: 0, err: "" });
    expect(run("./pilotfish", ["version", "--short"], { env: {}, cwd: dir })).toMatchObject({ status: 0, err: "" });
    const linked = run(link, ["version", "--short"], { env: { PATH: "/usr/bin:/bin" }, cwd: "/" });
    expect(linked).toMatchObject({ status: 0, err: "" });
  });

  test.runIf(process.getuid?.() === 0)("runs as another user, who may not write there", () => {
    const words = ["--reuid=65534", "--regid=65534", "--clear-groups", installed, "wait", "--for=file:/etc/passwd"];
    const seen = run("setpriv", [...words, "--", "/bin/sh", "-c", "id -u; exit 9"], { cwd: "/" });
    expect(seen).toEqual({ status: 9, signal: null, out: "65534\n", err: "" });
  });

  test("becomes the command: same process, and nothing of ours in its environment or libraries", () => {
    const script = 'echo $$; tr "\\0" "\\n" < /proc/self/environ; cat /proc/self/maps';
    const words = ["-c", 'echo $$; exec "$0" wait --for file:/etc/passwd -- /bin/sh -c "$1"', installed, script];
    const seen = run("/bin/sh", words, { env: { PATH: "/usr/bin:/bin", MINE: "1" }, cwd: "/" });
    const [before, after, ...rest] = seen.out.split("\n");
    expect(before).toBe(after);
    const variables = rest.filter((line) => /^\w+=/.test(line) && !line.startsWith("PWD="));
    expect(variables.sort()).toEqual(["MINE=1", "PATH=/usr/bin:/bin"]);
    expect(rest.filter((line) => line.includes(dir))).toEqual([]);
  });

  test("runs in an image that has no libraries, and finds names by that image's files", () => {
    mkdirSync(join(image, "etc"), { recursive: true });
    writeFileSync(join(image, "etc/hosts"), "192.0.2.7 db.example\n");
    const program = ["/pilotfish/lib/loader", "--library-path", "/pilotfish/lib", "/pilotfish/lib/node"];
    const inside = (words: readonly string[]) =>
      run("unshare", ["--map-root-user", `--root=${image}`, ...program, "/pilotfish/lib/pilotfish.cjs", ...words], {
        env: { PATH: process.env["PATH"] },
      });
    expect(inside(["version", "--short"])).toMatchObject({ status: 0, err: "" });
    expect(inside(["wait", "--for=dns:db.example", "--timeoutSeconds=0"])).toMatchObject({ status: 0, err: "" });
    expect(inside(["wait", "--for=file:/etc/passwd", "--timeoutSeconds=0"])).toMatchObject({ status: 1 });
    // It becomes the command there too: the native calls came along.
    const become = [
      "wait",
      "--for=file:/etc/hosts",
      "--",
      ...program,
      "-e",
      "console.log(process.argv0, process.ppid)",
    ];
    expect(inside(become)).toMatchObject({ status: 0, out: `/pilotfish/lib/node ${process.pid}\n`, err: "" });
  });

  test("can make a copy of itself", () => {
    const second = join(folder.path, "second");
    expect(run(installed, ["install", second], bare)).toMatchObject({ status: 0, err: "" });
    const names = (at: string) => filesOf(at).map((path) => path.slice(at.length));
    expect(names(second)).toEqual(names(dir));
    expect(run(join(second, "pilotfish"), ["version", "--short"], bare)).toMatchObject({ status: 0, err: "" });
  });
});
