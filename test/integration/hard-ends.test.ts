import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { alive } from "../helpers/alive.ts";
import { eventually } from "../helpers/eventually.ts";
import { envoy, temporaryFolder } from "../helpers/paths.ts";
import { ask, drawPorts, type Ports, ProxyRun, portSettings, staticProxy } from "../helpers/proxy.ts";

/* Ends that need the kernel's help: memory, and processes that have left Envoy's group. */

let ports: Ports;
let proxy: ProxyRun;
let folder: ReturnType<typeof temporaryFolder>;

beforeEach(async () => {
  ports = await drawPorts();
  folder = temporaryFolder("hard-ends");
});
afterEach(async () => {
  await proxy.done();
  folder.done();
});

function script(name: string, text: string): string {
  const path = join(folder.path, name);
  writeFileSync(path, text);
  chmodSync(path, 0o755);
  return path;
}

test("what left Envoy's group and session is ended with us", async () => {
  const note = join(folder.path, "runaway");
  const wrapped = script(
    "envoy",
    `#!/bin/sh\nsetsid sh -c 'echo $$ > ${note}; exec sleep 100000' &\nexec ${envoy} "$@"\n`,
  );
  proxy = staticProxy(ports, { env: { PILOTFISH_ENVOY: wrapped } });
  await eventually("ready", async () => (await ask({ port: ports.readiness }, "/healthz/ready")).status === 200);
  const runaway = await eventually(
    "the runaway",
    () => Number(existsSync(note) ? readFileSync(note, "utf8") : 0) || undefined,
  );
  proxy.signal("SIGTERM");
  expect(await proxy.exited).toEqual({ code: 0, signal: null });
  expect(proxy.output).toMatch(/Ended processes that were left below us/);
  await eventually("it is gone", () => !alive(runaway));
});

test("our SIGKILL as PID 1: Envoy, its children and what left its session go with us", async () => {
  const wrapped = script("envoy", `#!/bin/sh\nsetsid sleep 100000 &\nsleep 100001 &\nexec ${envoy} "$@"\n`);
  const prefix = ["unshare", "--pid", "--fork", "--mount-proc"];
  proxy = staticProxy(ports, { prefix, env: { PILOTFISH_ENVOY: wrapped } });
  await eventually("ready", async () => (await ask({ port: ports.readiness }, "/healthz/ready")).status === 200);
  expect(proxy.processes().length).toBeGreaterThanOrEqual(5);
  const first = Number(readFileSync(`/proc/${proxy.pid}/task/${proxy.pid}/children`, "utf8").trim());
  process.kill(first, "SIGKILL");
  await proxy.exited;
  await eventually("nobody is left", () => proxy.processes().length === 0);
});

/** A memory cgroup of version 1, which this kernel mounts beside an empty version 2. */
const memory = "/sys/fs/cgroup/memory";

/** As a container sees it: its own cgroup at the mount's top. */
function inContainer(limit: string): { readonly prefix: readonly string[]; readonly remove: () => void } {
  const own = join(memory, `pilotfish-test-${process.pid}`);
  mkdirSync(own);
  writeFileSync(join(own, "memory.limit_in_bytes"), limit);
  const enter = `echo $$ > ${own}/cgroup.procs && mount --bind ${own} ${memory}; exec "$@"`;
  return { prefix: ["unshare", "--mount", "sh", "-c", enter, "sh"], remove: () => rmdirSync(own) };
}

test("out of memory is said when the kernel's counter proves it", async () => {
  if (!existsSync(join(memory, "memory.oom_control"))) return provenByVersion2();
  const container = inContainer("200M");
  const greedy = script(
    "envoy",
    '#!/usr/bin/env python3\nkept = bytearray(600 * 1024 * 1024)\nkept[::4096] = b"x" * len(kept[::4096])\n',
  );
  const { args, env } = portSettings(ports);
  proxy = new ProxyRun({ prefix: container.prefix, args, env: { ...env, PILOTFISH_ENVOY: greedy } });
  try {
    expect(await proxy.exited).toEqual({ code: 1, signal: null });
    expect(proxy.output).toMatch(/was killed by SIGKILL \(out of memory: .*\) before it was live/);
  } finally {
    await eventually(
      "the cgroup is empty",
      () => readFileSync(join(memory, `pilotfish-test-${process.pid}/cgroup.procs`), "utf8") === "",
    );
    container.remove();
  }
});

/** The same by systemd-free means on a machine with version 2 only. */
async function provenByVersion2(): Promise<void> {
  const own = `/sys/fs/cgroup/pilotfish-test-${process.pid}`;
  mkdirSync(own);
  writeFileSync(join(own, "memory.max"), "200M");
  const enter = `echo $$ > ${own}/cgroup.procs && mount --bind ${own} /sys/fs/cgroup; exec "$@"`;
  const greedy = script(
    "envoy",
    '#!/usr/bin/env python3\nkept = bytearray(600 * 1024 * 1024)\nkept[::4096] = b"x" * len(kept[::4096])\n',
  );
  const { args, env } = portSettings(ports);
  proxy = new ProxyRun({
    prefix: ["unshare", "--mount", "sh", "-c", enter, "sh"],
    args,
    env: { ...env, PILOTFISH_ENVOY: greedy },
  });
  expect(await proxy.exited).toEqual({ code: 1, signal: null });
  expect(proxy.output).toMatch(/was killed by SIGKILL \(out of memory: .*\) before it was live/);
  execFileSync("rmdir", [own]);
}
