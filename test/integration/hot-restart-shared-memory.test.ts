import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type App, startApp } from "../helpers/app.ts";
import { eventually } from "../helpers/eventually.ts";
import { envoy } from "../helpers/paths.ts";
import { ask, drawPorts, type Ports, type ProxyRun, staticProxy } from "../helpers/proxy.ts";
import { staticBootstrap } from "../helpers/static-bootstrap.ts";

/*
 * /dev/shm that cannot be used, and a base-id that is somebody else's: it runs, it is said once, a restart is a swap
 * where it has to be, and nothing of a stranger's is harmed. Root makes the mounts.
 */

let ports: Ports;
let app: App;
let proxy: ProxyRun;
const strangers: ChildProcess[] = [];
const files: string[] = [];

beforeEach(async () => {
  ports = await drawPorts();
  app = await startApp(ports.app);
});
afterEach(async () => {
  await proxy.done();
  for (const one of strangers.splice(0)) {
    one.kill("SIGKILL");
    await new Promise((resolve) => one.once("close", resolve));
  }
  for (const one of files.splice(0)) rmSync(one, { force: true, recursive: true });
  await app.close();
});

const options = ["--probation", "1s", "--min-drain", "0s"];
const asUser = 'chmod 0777 . && set -- setpriv --reuid 1337 --regid 1337 --clear-groups -- "$@";';

/** `shell`: what is done in a mount namespace of its own before we start. */
async function start(shell: string, args: readonly string[] = []): Promise<void> {
  const prefix = ["unshare", "--mount", "sh", "-c", `${shell} exec "$@"`, "sh"];
  proxy = staticProxy(ports, { prefix, args: [...options, ...args] });
  await eventually("ready", async () => (await ask({ port: ports.readiness }, "/healthz/ready")).status === 200).catch(
    (error: unknown) => {
      throw new Error(`${String(error)}\n${proxy.output}`, { cause: error });
    },
  );
}

const serves = async (): Promise<void> => {
  expect((await ask({ port: ports.listener }, "/")).status).toBe(200);
};

async function metric(): Promise<string | undefined> {
  const page = await ask({ port: ports.status }, "/stats/prometheus");
  return /^pilotfish_hot_restart_available (\d)/m.exec(page.body)?.[1];
}

async function ends(): Promise<void> {
  proxy.signal("SIGTERM");
  expect(await proxy.exited, proxy.output).toEqual({ code: 0, signal: null });
  expect(proxy.processes()).toEqual([]);
}

async function isSwapped(): Promise<void> {
  proxy.signal("SIGHUP");
  await proxy.said(/The new Envoy has taken over/);
  await serves();
  expect(proxy.output).not.toMatch(/Hot restart begins/);
}

const withoutDevShm =
  "mkdir d && mount -t tmpfs -o mode=755 none d && " +
  "cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom d && mount --move d /dev &&";

const unusable: Readonly<Record<string, readonly [shell: string, why: RegExp]>> = {
  full: ["mount -t tmpfs -o size=4k none /dev/shm && head -c 4096 /dev/zero > /dev/shm/full;", /no space left/],
  "read-only": ["mount -t tmpfs -o ro none /dev/shm &&", /read-only/],
  missing: [withoutDevShm, /no such file/],
  "of another user": [`mount -t tmpfs -o mode=755 none /dev/shm && ${asUser}`, /permission denied/],
};

describe.skipIf(process.getuid?.() !== 0)("/dev/shm", () => {
  test.each(Object.entries(unusable))("%s", async (_, [shell, why]) => {
    await start(shell);
    await serves();
    expect(proxy.output.match(/Hot restart is off/g)).toHaveLength(1);
    expect(proxy.output).toMatch(/Hot restart is off; a restart will be a swap.*shared memory cannot be used/);
    expect(proxy.output).toMatch(why);
    expect(await metric()).toBe("0");
    expect((await ask({ port: ports.status }, "/status?format=text")).body).toMatch(/shared memory cannot be used/);
    await isSwapped();
    await isSwapped();
    expect(proxy.output.match(/Hot restart is off/g)).toHaveLength(1);
    await ends();
  });

  test("full after the start: the next restart is a swap, and one after that works too", async () => {
    await start("mount -t tmpfs -o size=64k none /dev/shm;");
    expect(await metric()).toBe("1");
    writeFileSync(`/proc/${proxy.pid}/root/dev/shm/a`, Buffer.alloc(56 * 1024));
    expect(() => {
      for (let n = 0; n < 20; n += 1) writeFileSync(`/proc/${proxy.pid}/root/dev/shm/b${n}`, Buffer.alloc(4_096));
    }).toThrow(/ENOSPC/);
    await isSwapped();
    expect(proxy.output).toMatch(/A second Envoy is started beside this one.*shared memory cannot be used/);
    await ends();
  });

  test("its file was taken away under a running Envoy: a swap follows", async () => {
    await start("mount -t tmpfs none /dev/shm;");
    const memory = `/proc/${proxy.pid}/root/dev/shm`;
    const taken = readdirSync(memory);
    expect(taken).toHaveLength(1);
    for (const name of taken) rmSync(join(memory, name));
    proxy.signal("SIGHUP");
    await proxy.said(/The new Envoy has taken over/);
    await serves();
    await ends();
  });
});

const memoryOf = (baseId: number): string => `/dev/shm/envoy_shared_memory_${baseId * 10}`;

/** An Envoy of somebody else's, with its own shared memory under `baseId`. */
async function stranger(baseId: number, prefix: readonly string[] = []): Promise<ChildProcess> {
  const folder = mkdtempSync("/tmp/pilotfish-stranger-");
  const config = join(folder, "stranger.json");
  writeFileSync(config, JSON.stringify(staticBootstrap({ adminPath: join(folder, "admin") })));
  const words = [...prefix, envoy, "-c", config, "--base-id", String(baseId), "--concurrency", "1", "-l", "error"];
  const [file = envoy, ...rest] = words;
  const child = spawn(file, rest, { stdio: "ignore" });
  strangers.push(child);
  files.push(folder, memoryOf(baseId));
  await eventually("the stranger is live", async () => {
    const answer = await ask({ socketPath: join(folder, "admin") }, "/ready");
    return answer.status === 200;
  });
  return child;
}

/** Nobody's: of this test's process. */
const ownBaseId = (): number => 100_000_000 + process.pid;

describe.skipIf(process.getuid?.() !== 0)("a base-id that a stranger has", () => {
  test.each([
    ["in the same network namespace", []],
    ["in another one with the same /dev/shm", ["unshare", "--net"]],
  ])("%s", async (_, prefix) => {
    const baseId = ownBaseId();
    const other = await stranger(baseId, prefix);
    const inode = statSync(memoryOf(baseId)).ino;
    await start("", ["--base-id", String(baseId)]);
    expect(proxy.output.match(/The base-id is somebody else's: another one is taken/g)).toHaveLength(1);
    expect(await metric()).toBe("1");
    proxy.signal("SIGHUP");
    await proxy.said(/The new Envoy serves/);
    await serves();
    await ends();
    expect(other.exitCode).toBeNull();
    expect(other.signalCode).toBeNull();
    expect(statSync(memoryOf(baseId)).ino).toBe(inode);
  });

  test("a stale file of another user does not stop us, and stays", async () => {
    const baseId = ownBaseId();
    files.push(memoryOf(baseId));
    writeFileSync(memoryOf(baseId), Buffer.alloc(104), { mode: 0o600 });
    await start(asUser, ["--base-id", String(baseId)]);
    expect(await metric()).toBe("1");
    proxy.signal("SIGHUP");
    await proxy.said(/The new Envoy serves/);
    await ends();
    expect(existsSync(memoryOf(baseId))).toBe(true);
  });
});
