import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createLaunches, type Launches, type LaunchesDeps } from "../../src/agent/envoy-launches.ts";
import type { AgentConfig } from "../../src/config/agent-config.ts";
import { InvalidConfig } from "../../src/foundation/errors.ts";
import { noLog } from "../../src/foundation/log.ts";
import { readSharedMemory, removeSharedMemory } from "../../src/process/hot-restart/shared-memory.ts";
import type { LaunchHow, RestartAsk, Serving } from "../../src/process/launch.ts";
import { realClock } from "../../src/system/clock.ts";
import { type ExitReport, type RunningProgram, runProgram } from "../../src/system/programs.ts";
import { agentConfig } from "../fakes/agent-config.ts";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { envoy, previousEnvoy, root, temporaryFolder } from "../helpers/paths.ts";
import { ask } from "../helpers/proxy.ts";
import { staticBootstrap } from "../helpers/static-bootstrap.ts";
import { adsBootstrap } from "../xds/ads-bootstrap.ts";

/** The preflight with the real Envoy: it serves on, whatever the preflight finds. */
const plain: RestartAsk = { cause: "test", strategy: "auto", explicit: false, ignoreMemory: false };
const explicit: RestartAsk = { ...plain, explicit: true };
const off: LaunchHow = { epoch: 0, hotRestart: undefined, adminPath: undefined };

class Bench {
  readonly folder = temporaryFolder("preflight");
  readonly binary = join(this.folder.path, "envoy");
  readonly custom = join(this.folder.path, "custom.json");
  readonly configPath = join(this.folder.path, "proxy");
  running: { readonly program: RunningProgram; readonly gone: Promise<ExitReport> } | undefined;

  readonly ports: { readonly admin: number; readonly main: number };

  constructor(ports: Bench["ports"]) {
    this.ports = ports;
    copyFileSync(envoy, this.binary);
    this.writeCustom();
  }

  writeCustom(more: object = {}): void {
    const { admin, main } = this.ports;
    const listener = { port: main, to: main };
    writeFileSync(this.custom, JSON.stringify({ ...staticBootstrap({ adminPort: admin, listener }), ...more }));
  }

  /** As an upgrade does it: written beside, then renamed. */
  replaceBinary(by: string): void {
    copyFileSync(by, `${this.binary}.new`);
    renameSync(`${this.binary}.new`, this.binary);
  }

  config(more: { readonly env?: Record<string, string>; readonly args?: readonly string[] } = {}): AgentConfig {
    return agentConfig({
      args: ["--configPath", this.configPath, "--customConfigFile", this.custom, "--concurrency", "1"].concat(
        more.args ?? [],
      ),
      env: { PILOTFISH_ENVOY: this.binary, ...more.env },
    });
  }

  launches(more: Partial<LaunchesDeps> = {}): Promise<Launches> {
    const config = more.config ?? this.config();
    const env = new Map(Object.entries({ PATH: process.env["PATH"] ?? "" }));
    const reread = () => Promise.resolve(config);
    return createLaunches({
      config,
      env,
      log: noLog,
      clock: realClock,
      reread,
      controlPlane: () => undefined,
      ...more,
    });
  }

  async serve(launches: Launches, how: LaunchHow = off): Promise<Serving> {
    const gone = Promise.withResolvers<ExitReport>();
    const program = launches.first.start(how, gone.resolve);
    this.running = { program, gone: gone.promise };
    await eventually("Envoy is LIVE", async () => (await this.state()) === "LIVE");
    await launches.first.settle();
    const { digest, hotRestartVersion } = launches.first;
    return { pid: program.pid, digest, hotRestartVersion, hotRestart: how.hotRestart !== undefined };
  }

  async state(to: Parameters<typeof ask>[0] = { port: this.ports.admin }): Promise<string> {
    return (JSON.parse((await ask(to, "/server_info")).body) as { readonly state: string }).state;
  }

  bootstrapFiles(): readonly string[] {
    return readdirSync(this.configPath).filter((name) => name.startsWith("envoy-rev"));
  }

  async done(): Promise<void> {
    this.running?.program.signalGroup("SIGKILL");
    await this.running?.gone;
    removeSharedMemory({ baseId });
    this.folder.done();
  }
}

let bench: Bench;
beforeEach(async () => {
  const [admin = 0, main = 0] = await freePorts(2);
  bench = new Bench({ admin, main });
});
afterEach(() => bench.done());

const baseId = 300_000_000 + (process.pid % 100_000);

/** Hot restart on, in a lineage of this test's own. */
const hot = (): LaunchHow => ({
  ...off,
  hotRestart: {
    lineage: { prefix: join(bench.configPath, "hr"), baseId },
    parentShutdown: 20_000,
  },
});

describe("what is asked for", () => {
  test("a watched change that changes nothing is unchanged; an explicit request goes on", async () => {
    const launches = await bench.launches();
    const serving = { ...(await bench.serve(launches)), hotRestart: true };
    expect(await launches.prepare(plain, serving)).toEqual({ is: "unchanged" });
    expect(bench.bootstrapFiles()).toEqual([]);
    const prepared = await launches.prepare(explicit, serving);
    expect(prepared).toMatchObject({ is: "ready", by: "hot-restart", because: "both have hot-restart version 11.104" });
    // A copy: the user's own file may have become another one when this launch is started again.
    expect(bench.bootstrapFiles()).toEqual(["envoy-rev2.json"]);
    launches.discardAll();
    expect(bench.bootstrapFiles()).toEqual([]);
    expect(await bench.state()).toBe("LIVE");
  });

  test.each([
    ["a swap", { ...explicit, strategy: "swap" } as const, true, "asked for"],
    ["hot restart off", explicit, false, "hot restart is off for the serving Envoy"],
  ])("%s is by swap", async (_title, how, hotRestart, because) => {
    const launches = await bench.launches();
    const serving = { ...(await bench.serve(launches)), hotRestart };
    expect(await launches.prepare(how, serving)).toMatchObject({ is: "ready", by: "swap", because });
    launches.discardAll();
  });

  test("shared memory that cannot be used: by swap", async () => {
    const launches = await bench.launches({ sharedMemoryFolder: join(bench.folder.path, "missing") });
    const serving = { ...(await bench.serve(launches)), hotRestart: true };
    expect(await launches.prepare(explicit, serving)).toMatchObject({
      is: "ready",
      by: "swap",
      because: expect.stringContaining("no such file or directory (ENOENT)") as string,
    });
    launches.discardAll();
  });
});

describe("the bootstrap", () => {
  test("Envoy's validation refuses it in its own words, and the serving one's file and shared memory stay", async () => {
    const launches = await bench.launches();
    const serving = await bench.serve(launches, hot());
    const shared = readSharedMemory({ baseId });
    expect(shared).toMatchObject({ is: "known", initializing: false });
    const secrets = [{ name: "k", tls_certificate: { private_key: { inline_string: "a secret" } } }];
    bench.writeCustom({ stats_flush_interval: "never", static_resources: { secrets } });
    const prepared = await launches.prepare(plain, serving);
    expect(prepared).toMatchObject({ is: "refused", check: "bootstrap" });
    expect(prepared.is === "refused" && prepared.why).toMatch(
      /^Envoy refuses it: Unable to parse JSON as proto .*stats_flush_interval.*must start with an integer\)$/,
    );
    expect(bench.bootstrapFiles()).toEqual([]);
    expect(readSharedMemory({ baseId })).toEqual(shared);
    expect(await bench.state()).toBe("LIVE");
  });

  test("every problem of a configuration that cannot be read is named", async () => {
    const problems = [
      { name: "mesh", text: "it is no object" },
      { name: "annotation proxy.istio.io/config", text: "it can't be read" },
    ];
    const launches = await bench.launches({ reread: () => Promise.reject(new InvalidConfig(problems)) });
    const serving = await bench.serve(launches);
    const prepared = await launches.prepare(explicit, serving);
    expect(prepared).toMatchObject({ is: "refused", check: "bootstrap" });
    for (const { name } of problems) expect(prepared.is === "refused" && prepared.why).toContain(name);
  });

  test("a custom file that is gone or no JSON is refused with its name", async () => {
    const launches = await bench.launches();
    const serving = await bench.serve(launches);
    writeFileSync(bench.custom, '{"admin": ');
    expect(await launches.prepare(explicit, serving)).toMatchObject({
      is: "refused",
      check: "bootstrap",
      why: expect.stringContaining(bench.custom) as string,
    });
  });

  test("settings of the agent itself stay; what Envoy gets anew makes a difference", async () => {
    const said: string[] = [];
    const log = { ...noLog, info: (text: string) => said.push(text) };
    const fresh = bench.config({ args: ["--statusPort", "15999", "--drainDuration", "7s"] });
    const launches = await bench.launches({ log, reread: () => Promise.resolve(fresh) });
    const serving = await bench.serve(launches);
    const prepared = await launches.prepare(plain, { ...serving, hotRestart: true });
    expect(prepared).toMatchObject({ is: "ready", by: "hot-restart" });
    expect(said).toContainEqual(expect.stringContaining("the status port changed too"));
    launches.discardAll();
  });
});

describe("the binary", () => {
  test("another one of the same version is a change; the same content under another inode is none", async () => {
    const launches = await bench.launches();
    const serving = { ...(await bench.serve(launches)), hotRestart: true };
    bench.replaceBinary(envoy);
    expect(await launches.prepare(plain, serving)).toEqual({ is: "unchanged" });
    bench.replaceBinary(previousEnvoy);
    expect(await launches.prepare(plain, serving)).toMatchObject({
      is: "ready",
      by: "hot-restart",
      launch: { hotRestartVersion: "11.104" },
    });
    launches.discardAll();
  });

  test.each([
    [
      "another hot-restart version",
      '#!/bin/sh\ncase "$*" in *--hot-restart-version*) echo 12.1 >&2;; esac\n',
      /11\.104 serves, the new binary has 12\.1/,
    ],
    ["no version at all", "#!/bin/sh\nexit 0\n", /does not say/],
  ])("%s: by swap", async (_title, script, because) => {
    const launches = await bench.launches();
    const serving = { ...(await bench.serve(launches)), hotRestart: true };
    writeFileSync(`${bench.binary}.new`, script, { mode: 0o755 });
    renameSync(`${bench.binary}.new`, bench.binary);
    const prepared = await launches.prepare(plain, serving);
    expect(prepared).toMatchObject({ is: "ready", by: "swap" });
    expect(prepared.is === "ready" && prepared.because).toMatch(because);
    launches.discardAll();
  });

  test.each([
    ["it is not there any more", undefined, "there is no such file"],
    ["it is no program", "hello\n", "it is not a program"],
  ])("%s: refused, the serving one lives on", async (_title, content, why) => {
    const launches = await bench.launches();
    const serving = await bench.serve(launches);
    renameSync(bench.binary, `${bench.binary}.old`);
    if (content !== undefined) writeFileSync(bench.binary, content, { mode: 0o755 });
    expect(await launches.prepare(explicit, serving)).toMatchObject({
      is: "refused",
      check: "binary",
      why: expect.stringContaining(why) as string,
    });
    expect(await bench.state()).toBe("LIVE");
  });
});

describe("the control plane", () => {
  const ads = adsBootstrap("xds.sock", "sds.sock", "GRPC");

  test.each([
    ["it answers", { probe: () => Promise.resolve(undefined) }, undefined],
    [
      "it does not",
      { probe: () => Promise.resolve("connection refused: nobody listens there (ECONNREFUSED)") },
      /a new Envoy would wait for its listeners: connection refused/,
    ],
    ["this agent was started without", undefined, /asks for configuration by ADS; start pilotfish anew/],
  ])("a bootstrap that needs it: %s", async (_title, controlPlane, why) => {
    const launches = await bench.launches({ controlPlane: () => controlPlane });
    const serving = { ...(await bench.serve(launches)), hotRestart: true };
    writeFileSync(bench.custom, JSON.stringify(ads(bench.ports.admin)));
    const prepared = await launches.prepare(explicit, serving);
    if (why === undefined) expect(prepared).toMatchObject({ is: "ready", by: "hot-restart" });
    else {
      expect(prepared).toMatchObject({ is: "refused", check: "control-plane" });
      expect(prepared.is === "refused" && prepared.why).toMatch(why);
      expect(bench.bootstrapFiles()).toEqual([]);
    }
    launches.discardAll();
  });

  test("one that does not need it is not held by it", async () => {
    const probe = () => Promise.reject(new Error("nobody should ask"));
    const launches = await bench.launches({ controlPlane: () => ({ probe }) });
    const serving = await bench.serve(launches);
    expect(await launches.prepare(explicit, serving)).toMatchObject({ is: "ready" });
    launches.discardAll();
  });
});

test("a limit of memory without room for two is refused with the numbers", async () => {
  const group = memoryGroup(`pilotfish-preflight-${process.pid}`);
  const program = join(root, "test/integration/preflight-memory-program.ts");
  const enter = `echo $$ > ${group.folder}/cgroup.procs && exec "$@"`;
  const [admin = 0] = await freePorts(1);
  try {
    const words = ["-c", enter, "sh", process.execPath, program, group.limit, group.usage, String(admin)];
    const { exit, stdout, stderr } = await runProgram("sh", words, { timeout: 60_000 });
    expect({ exit, stderr }).toMatchObject({ exit: { how: "exited", code: 0 } });
    const said = stdout.split("\n").filter((line) => line.startsWith("{"));
    const [tight, roomy] = said.map((line) => JSON.parse(line) as Record<string, string>);
    expect(tight).toMatchObject({ is: "refused", check: "memory" });
    expect(tight?.["why"]).toMatch(/a second Envoy needs about \d+ MiB .* MiB are left of \d+ MiB/);
    expect(roomy).toMatchObject({ is: "ready" });
  } finally {
    await eventually("the group is empty", () => readFileSync(join(group.folder, "cgroup.procs"), "utf8") === "");
    rmdirSync(group.folder);
  }
});

/** A memory group below the one that we are in; version 1 where this kernel has it, else version 2. */
function memoryGroup(name: string): { readonly folder: string; readonly limit: string; readonly usage: string } {
  const ours = (line: RegExp): string => line.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1] ?? "/";
  const old = existsSync("/sys/fs/cgroup/memory/memory.limit_in_bytes");
  const folder = old
    ? join("/sys/fs/cgroup/memory", ours(/:memory:(.*)$/m), name)
    : // A group with processes in it can't have others with limits below it.
      join("/sys/fs/cgroup", name);
  mkdirSync(folder);
  const [limit, usage] = old
    ? ["memory.limit_in_bytes", "memory.usage_in_bytes"]
    : (["memory.max", "memory.current"] as const);
  return { folder, limit: join(folder, limit ?? ""), usage: join(folder, usage ?? "") };
}
