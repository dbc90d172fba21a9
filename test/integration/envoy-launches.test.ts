import { copyFileSync, existsSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createLaunches } from "../../src/agent/envoy-launches.ts";
import { noLog } from "../../src/foundation/log.ts";
import { removeSharedMemory } from "../../src/process/hot-restart/shared-memory.ts";
import type { Launch, LaunchHow } from "../../src/process/launch.ts";
import { realClock } from "../../src/system/clock.ts";
import type { ExitReport, RunningProgram } from "../../src/system/programs.ts";
import { agentConfig } from "../fakes/agent-config.ts";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { envoy, previousEnvoy, temporaryFolder } from "../helpers/paths.ts";
import { ask } from "../helpers/proxy.ts";
import { staticBootstrap } from "../helpers/static-bootstrap.ts";

/** What the real Envoy makes of our arguments: hot restart's flags, and an admin that moved to a unix socket. */
let folder: ReturnType<typeof temporaryFolder>;
let running: { readonly program: RunningProgram; readonly gone: Promise<ExitReport> }[] = [];
const baseId = 310_000_000 + (process.pid % 100_000);

beforeEach(() => {
  folder = temporaryFolder("launches");
});
afterEach(async () => {
  for (const { program } of running) program.signalGroup("SIGKILL");
  await Promise.all(running.map(({ gone }) => gone));
  running = [];
  removeSharedMemory({ baseId });
  folder.done();
});

interface ServerInfo {
  readonly state: string;
  readonly version: string;
  readonly command_line_options: {
    readonly restart_epoch: number;
    readonly base_id: string;
    readonly socket_path: string;
    readonly parent_shutdown_time: string;
    readonly disable_hot_restart: boolean;
    readonly drain_strategy: string;
  };
}

async function live(to: Parameters<typeof ask>[0], epoch = 0): Promise<ServerInfo> {
  return eventually(`epoch ${epoch} is LIVE`, async () => {
    const info = JSON.parse((await ask(to, "/server_info")).body) as ServerInfo;
    return info.state === "LIVE" && info.command_line_options.restart_epoch === epoch ? info : undefined;
  });
}

const off: LaunchHow = { epoch: 0, hotRestart: undefined, adminPath: undefined };
const custom = (ports: readonly number[], more: object = {}): string => {
  const [admin = 0, main = 0] = ports;
  const path = join(folder.path, "custom.json");
  const bootstrap = staticBootstrap({ adminPort: admin, listener: { port: main, to: main } });
  writeFileSync(path, JSON.stringify({ ...bootstrap, ...more }));
  return path;
};

async function launches(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const all = ["--configPath", join(folder.path, "proxy"), "--concurrency", "1", ...args];
  const config = agentConfig({ args: all, env: { PILOTFISH_ENVOY: envoy, ...env } });
  return createLaunches({
    config,
    env: new Map([["PATH", process.env["PATH"] ?? ""]]),
    log: noLog,
    clock: realClock,
    reread: () => Promise.resolve(config),
    controlPlane: () => undefined,
  });
}

function start(launch: Pick<Launch, "start">, how: LaunchHow): void {
  const gone = Promise.withResolvers<ExitReport>();
  running.push({ program: launch.start(how, gone.resolve), gone: gone.promise });
}

test("two epochs of one launch: the second takes over from the first, with the flags that were asked for", async () => {
  const [admin = 0, main = 0] = await freePorts(2);
  const { first, discardAll } = await launches(["--customConfigFile", custom([admin, main]), "--drainDuration", "1s"]);
  first.write();
  const lineage = { prefix: join(folder.path, "proxy", "hr"), baseId };
  const hotRestart = { lineage, parentShutdown: 6_000 };
  start(first, { ...off, hotRestart });
  await live({ port: admin });
  // What is started again is what was rendered, whatever became of the user's file.
  custom([admin, main], { no_such_field: 1 });
  start(first, { ...off, epoch: 1, hotRestart });
  expect((await live({ port: admin }, 1)).command_line_options).toMatchObject({
    base_id: String(baseId),
    socket_path: lineage.prefix,
    parent_shutdown_time: "6s",
    drain_strategy: "Immediate",
    disable_hot_restart: false,
  });
  expect(readdirSync(join(folder.path, "proxy"))).toContain("envoy-rev0.json");
  discardAll();
  expect(readdirSync(join(folder.path, "proxy"))).not.toContain("envoy-rev0.json");
});

test("to another version of Envoy and back, by replacing the binary", async () => {
  const [admin = 0, main = 0] = await freePorts(2);
  const binary = join(folder.path, "envoy");
  const replaceBy = (other: string): void => {
    copyFileSync(other, `${binary}.new`);
    renameSync(`${binary}.new`, binary);
  };
  replaceBy(envoy);
  const all = await launches(["--customConfigFile", custom([admin, main])], { PILOTFISH_ENVOY: binary });
  const ask = { cause: "changed: binary", strategy: "auto", explicit: false, ignoreMemory: false } as const;
  const how = {
    ...off,
    hotRestart: { lineage: { prefix: join(folder.path, "proxy/hr"), baseId }, parentShutdown: 1_000 },
  };
  all.first.write();
  start(all.first, how);
  const versions = [(await live({ port: admin })).version];
  await all.first.settle();
  let serving: Launch = all.first;
  for (const [epoch, other] of [
    [1, previousEnvoy],
    [2, envoy],
  ] as const) {
    replaceBy(other);
    const { digest, hotRestartVersion } = serving;
    const pid = running.at(-1)?.program.pid ?? -1;
    const prepared = await all.prepare(ask, { pid, digest, hotRestartVersion, hotRestart: true });
    expect(prepared).toMatchObject({ is: "ready", by: "hot-restart" });
    if (prepared.is !== "ready") return;
    serving = prepared.launch;
    start(serving, { ...how, epoch });
    versions.push((await live({ port: admin }, epoch)).version);
    await running.at(-2)?.gone;
  }
  expect(versions[1]).not.toBe(versions[0]);
  expect(versions[2]).toBe(versions[0]);
  all.discardAll();
});

const override = {
  json: '{"admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}}, "ignore_global_conn_limit": true}, "node": {"id": "over"}}',
  yaml: "node:\n  id: over\n  metadata:\n    camelCase: yes\n",
  "yaml-with-admin": "node: {id: over}\nadmin:\n  address:\n    pipe: {path: /nowhere}\n",
};

test.each([
  ["a custom file with a TCP admin", "custom", undefined],
  ["the built-in template", "template", undefined],
  ["an override in JSON that sets the admin", "custom", "json"],
  ["an override in YAML without admin", "custom", "yaml"],
  ["an override in YAML with another socket", "custom", "yaml-with-admin"],
  ["the built-in template with an override", "template", "yaml"],
] as const)("the admin on a unix socket: %s", async (_title, kind, over) => {
  const ports = await freePorts(6);
  const env: Record<string, string> = { ENVOY_STATUS_PORT: String(ports[2]), ENVOY_PROMETHEUS_PORT: String(ports[3]) };
  if (over !== undefined) {
    env["ISTIO_BOOTSTRAP_OVERRIDE"] = join(folder.path, "override");
    writeFileSync(env["ISTIO_BOOTSTRAP_OVERRIDE"], override[over]);
  }
  const args =
    kind === "custom"
      ? ["--customConfigFile", custom(ports)]
      : ["--proxyAdminPort", String(ports[4]), "--statusPort", String(ports[5])];
  const { first } = await launches(args, env);
  first.write();
  // Quotes and blanks: the path stands in JSON and in YAML.
  const socketPath = join(folder.path, 'proxy/ad"min: #1.sock');
  start(first, { ...off, adminPath: socketPath });
  await eventually("the admin answers", async () => (await ask({ socketPath }, "/server_info")).status === 200);
  const dump = (await ask({ socketPath }, "/config_dump")).body;
  if (over !== undefined) expect(dump).toContain('"over"');
  const tcp = kind === "custom" ? ports[0] : ports[4];
  await expect(ask({ port: tcp ?? 0 }, "/server_info")).rejects.toThrow(/ECONNREFUSED/);
  expect(existsSync(socketPath)).toBe(true);
});
