import { existsSync, readdirSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { type Reached, Scene, states } from "../helpers/lifecycle-states.ts";
import { ask, type ProxyRun, staticProxy } from "../helpers/proxy.ts";
import { configFolder, removeSharedMemory, sharedMemoryOf } from "../helpers/restarts/leaks.ts";

/* A SIGKILL of ours, as the kernel's when memory is short: Envoy goes with us, and the next start finds a clean place. */

let scene: Scene;
let next: ProxyRun | undefined;
let memory: readonly string[] = [];
afterEach(async () => {
  await next?.done();
  next = undefined;
  memory = [...memory, ...sharedMemoryOf(scene.proxy.folder.path)];
  await scene.done();
  removeSharedMemory(memory);
});

const ownFolders = (): readonly string[] =>
  readdirSync(configFolder(scene.proxy.folder.path)).filter((name) => name.startsWith("hot-restart-"));

/** The same working directory and ports, as a container that is started again. */
function startAgain(): ProxyRun {
  const { path } = scene.proxy.folder;
  return staticProxy(scene.ports, { prefix: ["sh", "-c", 'cd "$0" && exec "$@"', path] });
}

const chosen = ["live", "starting over kept sockets", "initializing", "overlap", "trial, on probation", "yielding"];

test.each(chosen)("while it is %s", async (name) => {
  const state = states[name] as Reached;
  scene = await Scene.start({ args: state.args ?? [] }, state.before);
  await state.reach(scene);
  memory = sharedMemoryOf(scene.proxy.folder.path);
  const [folders, envoys] = [ownFolders(), scene.envoy.starts()];
  expect({ folders: folders.length, envoys: envoys.length > 0 }).toEqual({ folders: 1, envoys: true });
  expect(memory.filter((file) => existsSync(file)).length).toBeGreaterThan(0);

  scene.proxy.signal("SIGKILL");
  expect(await scene.proxy.exited).toEqual({ code: null, signal: "SIGKILL" });
  await eventually("Envoy is gone, too", () => scene.proxy.processes().length === 0);
  scene.app.release();

  next = startAgain();
  await eventually("ready", async () => (await ask({ port: scene.ports.readiness }, "/healthz/ready")).status === 200);
  expect(memory.filter((file) => existsSync(file))).toEqual([]);
  expect(ownFolders().filter((one) => folders.includes(one))).toEqual([]);
  next.signal("SIGHUP");
  await next.said(/The new Envoy serves/);
  next.signal("SIGTERM");
  expect(await next.exited, next.output).toEqual({ code: 0, signal: null });
  expect(ownFolders()).toEqual([]);
});

test.skipIf(process.getuid?.() !== 0)("with hot restart off, where only setpriv ties Envoy to us", async () => {
  const shell = 'mount -t tmpfs -o ro none /dev/shm && exec "$@"';
  scene = await Scene.start({ prefix: ["unshare", "--mount", "sh", "-c", shell, "sh"] });
  await scene.ready();
  await scene.proxy.said(/Hot restart is off/);
  expect(scene.proxy.processes()).toContain(await scene.proxy.envoyPid());
  scene.proxy.signal("SIGKILL");
  await eventually("Envoy is gone, too", () => scene.proxy.processes().length === 0);
  next = startAgain();
  await eventually("ready", async () => (await ask({ port: scene.ports.readiness }, "/healthz/ready")).status === 200);
});
