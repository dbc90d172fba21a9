import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { breakableEnvoy } from "../helpers/breakable-envoy.ts";
import { eventually } from "../helpers/eventually.ts";
import {
  ask,
  drawPorts,
  type Ports,
  type ProxyOptions,
  ProxyRun,
  portSettings,
  staticProxy,
} from "../helpers/proxy.ts";
import type { StaticOptions } from "../helpers/static-bootstrap.ts";

/* Every way in which Envoy or we cannot go on: the message, the exit code, and nothing left behind (ProxyRun.done). */

let ports: Ports;
let proxy: ProxyRun;
const strangers: Server[] = [];
const closing: (() => void)[] = [];

beforeEach(async () => {
  ports = await drawPorts();
});
afterEach(async () => {
  await proxy.done();
  for (const one of strangers.splice(0)) one.close();
  for (const close of closing.splice(0)) close();
});

const start = (options: ProxyOptions & { readonly static?: StaticOptions } = {}): void => {
  proxy = staticProxy(ports, options);
};

const ready = (): Promise<unknown> =>
  eventually("ready", async () => (await ask({ port: ports.readiness }, "/healthz/ready")).status === 200);

async function endsWith(code: number, text: RegExp): Promise<void> {
  expect({ exit: await proxy.exited, output: proxy.output }).toMatchObject({
    exit: { code },
    output: expect.stringMatching(text),
  });
}

function takePort(port: number, host = "127.0.0.1"): Promise<void> {
  return new Promise((resolve) => {
    const server = createServer();
    strangers.push(server);
    server.listen({ port, host, exclusive: true }, resolve);
  });
}

test("Envoy killed while serving is started again; one that never gets LIVE any more ends us after five times", async () => {
  const broken = breakableEnvoy();
  closing.push(() => broken.done());
  start({ env: { PILOTFISH_ENVOY: broken.program } });
  await ready();
  broken.break();
  process.kill(await proxy.envoyPid(), "SIGKILL");
  await endsWith(1, /was killed by SIGSEGV \(it crashed: segmentation fault\) before it was live/);
  expect(proxy.output).toMatch(/Envoy died.*SIGKILL/);
  expect(proxy.output.match(/Envoy died.*crash-before-live/g)).toHaveLength(6);
  expect(proxy.output).toMatch(/Envoy is not started again.*crash-before-live/);
});

test("no such Envoy: exit 69", async () => {
  start({ env: { PILOTFISH_ENVOY: "/nowhere/envoy" } });
  await endsWith(
    69,
    /cannot start Envoy: "\/nowhere\/envoy": there is no such file; check --binaryPath, or set PILOTFISH_ENVOY/,
  );
});

test("an Envoy that may not be executed: exit 69", async () => {
  start({ env: { PILOTFISH_ENVOY: "/etc/passwd" } });
  await endsWith(69, /may not be executed/);
});

test("an Envoy that is no program: exit 69", async () => {
  start({ env: { PILOTFISH_ENVOY: join(import.meta.dirname, "../programs/bin/not-a-program") } });
  await endsWith(69, /it is not a program/);
});

test("a directory as Envoy: exit 69", async () => {
  start({ env: { PILOTFISH_ENVOY: "/etc" } });
  await endsWith(69, /it is a directory/);
});

test("our status port taken: exit 69", async () => {
  await takePort(ports.status, "0.0.0.0");
  start();
  await endsWith(69, new RegExp(`cannot listen on port ${ports.status}`));
});

test("Envoy's admin port taken: exit 69 and which one", async () => {
  await takePort(ports.admin);
  start();
  await endsWith(69, new RegExp(`port ${ports.admin} \\(admin\\) is taken`));
});

test("a listener's port taken: exit 69 and which one", async () => {
  await takePort(ports.listener);
  start();
  await endsWith(69, new RegExp(`port ${ports.listener} \\(main\\) is taken`));
});

test("a configuration that Envoy refuses: exit 64 and Envoy's words", async () => {
  start({ static: { drainTimeout: "no duration" } });
  await endsWith(64, /Envoy refuses this configuration: .*drain_timeout|Envoy refuses this configuration: .*duration/i);
});

test("a config path that cannot be made: exit 69", async () => {
  start({ env: { PROXY_CONFIG: '{"configPath": "/proc/nowhere"}' } });
  await endsWith(69, /cannot make "\/proc\/nowhere": no such file or directory/);
});

/** Our own bootstrap, which has to be written, behind a mount or a user that forbids it. */
function startRendered(shell: string): void {
  const { args, env } = portSettings(ports);
  proxy = new ProxyRun({ args, env, prefix: ["unshare", "--mount", "sh", "-c", `${shell}`, "sh"] });
}

test("a full disk: exit 69, and no half file", async () => {
  const mount = "mkdir -p etc/istio/proxy && mount -t tmpfs -o size=4k none etc/istio/proxy";
  startRendered(
    `${mount} && head -c 4096 /dev/zero > etc/istio/proxy/full; "$@"; code=$?; ls -A etc/istio/proxy; exit $code`,
  );
  await endsWith(69, /no space left on the device.*make room/);
  expect(proxy.output.trim().split("\n").at(-1)).toBe("full");
});

test("a read-only config path: exit 69", async () => {
  startRendered('mkdir -p etc/istio/proxy && mount -t tmpfs -o ro none etc/istio/proxy; exec "$@"');
  await endsWith(69, /the file system is read-only/);
});

test("as another user without the right to write: exit 69", async () => {
  startRendered('chmod 0755 . && mkdir -p etc/istio && exec setpriv --reuid 1337 --regid 1337 --clear-groups "$@"');
  await endsWith(69, /permission denied .*let the proxy's user write there/);
});

test("a silent admin: not ready with the reason; a stop ends all the same", async () => {
  start({ env: { PROXY_CONFIG: '{"terminationDrainDuration": "1s"}' } });
  await ready();
  const envoy = await proxy.envoyPid();
  process.kill(envoy, "SIGSTOP");
  await eventually("not ready: silent", async () => {
    const answer = await ask({ port: ports.status }, "/healthz/ready");
    return answer.status === 503 && answer.body.includes("admin does not answer");
  });
  proxy.signal("SIGTERM");
  await proxy.said(/Killing Envoy/);
  await endsWith(0, /Envoy had to be killed/);
});
