import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { pilotfish } from "../helpers/paths.ts";
import { ask, drawPorts, type Ports, type ProxyRun, staticProxy } from "../helpers/proxy.ts";

/** The whole program: who may ask for a new Envoy, and that a refusal changes nothing. */
let ports: Ports;
let proxy: ProxyRun;

beforeEach(async () => {
  ports = await drawPorts();
});
afterEach(() => proxy.done());

async function start(args: readonly string[] = []): Promise<void> {
  proxy = staticProxy(ports, { args });
  await eventually("ready", async () => (await ask({ port: ports.readiness }, "/healthz/ready")).status === 200);
}

/** Makes the custom configuration one that Envoy's validation refuses. */
function spoil(): void {
  const custom = join(proxy.folder.path, "custom.json");
  writeFileSync(custom, JSON.stringify({ ...JSON.parse(readFileSync(custom, "utf8")), stats_flush_interval: "never" }));
}

function command(...words: readonly string[]): Promise<{ readonly code: number; readonly said: string }> {
  return new Promise((resolve) => {
    execFile(pilotfish, ["hot-restart", ...words], { cwd: proxy.folder.path }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, said: `${stdout}${stderr}` });
    });
  });
}

async function sameEnvoyServes(pid: number): Promise<void> {
  expect(await proxy.envoyPid()).toBe(pid);
  expect((await ask({ port: ports.readiness }, "/healthz/ready")).status).toBe(200);
}

test("a bad bootstrap: the command says why and exits 1; POST, SIGHUP and the watch say it in the log", async () => {
  await start(["--watch", "bootstrap"]);
  const pid = await proxy.envoyPid();
  await proxy.said(/Watching what Envoy is started with/);
  spoil();
  await proxy.said(/Restart of Envoy refused.*cause="changed: bootstrap".*Envoy refuses it: .*stats_flush_interval/);
  const refused = await command("--wait");
  expect(refused).toMatchObject({ code: 1 });
  expect(refused.said).toMatch(/^pilotfish: cannot replace Envoy: refused: .*Envoy refuses it: .*stats_flush_interval/);
  const json = await command("--wait", "--json");
  expect(JSON.parse(json.said)).toMatchObject({ outcome: "refused" });
  proxy.signal("SIGHUP");
  await proxy.said(/Restart of Envoy refused.*cause=SIGHUP/);
  const posted = await ask({ port: ports.status }, "/hot-restart?wait", { method: "POST" });
  expect(posted.status).toBe(409);
  await sameEnvoyServes(pid);
});

test("nobody watches by default", async () => {
  await start();
  spoil();
  proxy.signal("SIGQUIT");
  await proxy.said(/State/);
  expect(proxy.output).not.toMatch(/Watching|Restart of Envoy/);
});

test("nobody is there: exit 69", async () => {
  await start();
  expect(await command("--socket", join(proxy.folder.path, "none.sock"))).toMatchObject({ code: 69 });
});
