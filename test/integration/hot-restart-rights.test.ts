import { spawn } from "node:child_process";
import { chmodSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { attack, type Target } from "../helpers/hot-restart-attack.ts";
import { envoy } from "../helpers/paths.ts";
import { ask, drawPorts, type Ports, type ProxyRun, staticProxy } from "../helpers/proxy.ts";

/*
 * Another user of the pod can neither end the Envoy of a running `pilotfish proxy` nor take its listen sockets: not by
 * the name in the file system, not by Envoy's abstract default. The same attack works on the very same Envoy when it
 * has the abstract default.
 */

let ports: Ports;
let proxy: ProxyRun;
beforeEach(async () => {
  ports = await drawPorts();
  proxy = staticProxy(ports, { args: ["--probation", "1s"] });
  // The way there is open, the folder itself must not be.
  await eventually("ready", async () => (await ask({ port: ports.readiness }, "/healthz/ready")).status === 200);
});
afterEach(() => proxy.done());

const words = (pid: number): readonly string[] => readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
const valueAfter = (all: readonly string[], flag: string): string => all[all.indexOf(flag) + 1] ?? "";

function target(prefix: string, baseId: string, epoch: number): Target {
  const name = (role: string, of: number): string => `${prefix}_${role}_${Number(baseId) * 10 + (of % 3)}`;
  const address = `tcp://127.0.0.1:${ports.listener}`;
  return { parent: name("parent", epoch), child: name("child", epoch + 1), address };
}

const ABSTRACT = "@envoy_domain_socket";

describe.skipIf(process.getuid?.() !== 0)("another user of the pod", () => {
  test("can do nothing to Envoy, whichever epoch or lineage serves", async () => {
    const holds = async (epoch: number): Promise<void> => {
      const pid = await proxy.envoyPid();
      const all = words(pid);
      const [prefix, baseId] = [valueAfter(all, "--socket-path"), valueAfter(all, "--base-id")];
      expect(statSync(join(prefix, "..")).mode & 0o777).toBe(0o700);
      expect(readdirSync(join(prefix, ".."))).toContain(
        `${prefix.split("/").at(-1)}_parent_${Number(baseId) * 10 + epoch}`,
      );
      for (const what of ["terminate", "take"] as const) {
        expect(attack(what, target(prefix, baseId, epoch))).toBe("PermissionError Permission denied");
        expect(attack(what, target(ABSTRACT, baseId, epoch))).toMatch(/^ConnectionRefusedError/);
      }
      expect((await ask({ port: ports.readiness }, "/healthz/ready")).status).toBe(200);
      expect(await proxy.envoyPid()).toBe(pid);
    };
    // Everybody may enter the folders above.
    for (const folder of [".", "etc", "etc/istio", "etc/istio/proxy"])
      chmodSync(join(proxy.folder.path, folder), 0o755);
    await holds(0);
    proxy.signal("SIGHUP");
    await proxy.said(/The new Envoy serves/);
    await holds(1);
  });

  test("with the abstract default the same attack takes its sockets and ends it", async () => {
    const own = words(await proxy.envoyPid());
    const baseId = String(150_000_000 + process.pid);
    proxy.signal("SIGTERM");
    await proxy.exited;
    const other: Readonly<Record<string, string>> = {
      "--socket-path": ABSTRACT,
      "--base-id": baseId,
      "-c": join(proxy.folder.path, "custom.json"),
    };
    const args = own.slice(1).map((word, index) => other[own[index] ?? ""] ?? word);
    const child = spawn(envoy, args, { stdio: "ignore" });
    const ended = new Promise((resolve) => child.once("close", resolve));
    try {
      await eventually("live", async () => (await ask({ port: ports.admin }, "/ready")).status === 200);
      expect(attack("take", target(ABSTRACT, baseId, 0))).toBe("got 1");
      expect(attack("terminate", target(ABSTRACT, baseId, 0))).toBe("sent");
      expect(await ended).toBe(0);
    } finally {
      child.kill("SIGKILL");
      rmSync(`/dev/shm/envoy_shared_memory_${baseId}0`, { force: true });
    }
  });
});
