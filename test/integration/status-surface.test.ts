import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type App, startApp } from "../helpers/app.ts";
import { breakableEnvoy } from "../helpers/breakable-envoy.ts";
import { eventually } from "../helpers/eventually.ts";
import { pilotfish } from "../helpers/paths.ts";
import { ask, drawPorts, type Ports, type ProxyOptions, type ProxyRun, staticProxy } from "../helpers/proxy.ts";

let ports: Ports;
let app: App;
let proxy: ProxyRun;

beforeEach(async () => {
  ports = await drawPorts();
  app = await startApp(ports.app);
});
afterEach(async () => {
  await proxy.done();
  await app.close();
});

async function start(options: ProxyOptions = {}): Promise<void> {
  proxy = staticProxy(ports, options);
  await eventually("ready", async () => (await ask({ port: ports.readiness }, "/healthz/ready")).status === 200);
}

const socket = () => ({ socketPath: join(proxy.folder.path, "etc/istio/proxy/pilotfish.sock") });
const run = promisify(execFile);

describe("status", () => {
  test("the command shows the proxy in its working directory, the page the same", async () => {
    await start();
    const { stdout } = await run(pilotfish, ["status"], { cwd: proxy.folder.path });
    expect(stdout).toMatch(/^Readiness\n\+ ready +yes\n/);
    expect(stdout).toMatch(/\nEnvoy\n\+ state +live\n/);
    const json = await run(pilotfish, ["status", "--json", `--statusPort=${ports.status}`]);
    const status = JSON.parse(json.stdout) as Record<string, Record<string, unknown>>;
    expect(status["envoy"]).toMatchObject({ state: "live", epoch: 0, pid: await proxy.envoyPid() });
    expect(JSON.stringify(status["events"])).toContain("Envoy is live");
    const page = await ask({ port: ports.status }, "/status", { headers: { accept: "text/html" } });
    expect(page.body).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/);
    expect((await ask({ port: ports.readiness }, "/status")).status).toBe(404);
  });

  test("the plan of the stop, the last scrape of each source, the memory of Envoy beside ours", async () => {
    await start({ env: { TERMINATION_GRACE_PERIOD: "60s" } });
    await ask({ port: ports.status }, "/stats/prometheus");
    const page = await ask({ port: ports.status }, "/status?format=text");
    expect(page.body).toMatch(
      /\nStop, if it were now\n.*after +5\.0 s\n.*after +55\.0 s\n.*after +59\.0 s\n.*1 min 0 s\n/,
    );
    expect(page.body).toMatch(
      /\nLast scrape of each source\n {2}scrapes so far +1\n.*\n\+ agent .*\n\+ envoy .* [\d.]+ kB +\d+ +whole\n/,
    );
    expect(page.body).toMatch(/\n {2}Envoy's memory +\d+\.\d MB\n/);
    await ask(socket(), "/drain", { method: "POST" });
    const draining = await ask({ port: ports.status }, "/status?format=text");
    expect(draining.body).toMatch(
      /\nDrained; a stop, if it were asked for now\n~ because +draining: asked to drain\n {2}going on for .*\n.*may leave .*\n.*SIGTERM to Envoy in +\d+\.\d s\n/,
    );
  });

  test("nobody there: 69", async () => {
    await start();
    const [nobody] = [ports.app + 1];
    const failed = await run(pilotfish, ["status", `--statusPort=${nobody}`]).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 69, stderr: expect.stringContaining("is the proxy running here?") });
  });
});

describe("drain", () => {
  test("over the unix socket: not ready at once, on both ports, with who asked; the application is still reached", async () => {
    await start();
    expect(await ask(socket(), "/drain", { method: "POST" })).toMatchObject({ status: 200, body: "OK" });
    for (const port of [ports.status, ports.readiness]) {
      const answer = await ask({ port }, "/healthz/ready");
      expect([port, answer.status, answer.body]).toEqual([
        port,
        503,
        expect.stringMatching(/^not ready: drain: draining: /),
      ]);
    }
    expect((await ask({ port: ports.listener }, "/")).body).toBe("hello\n");
    expect(proxy.output).toMatch(/Asked over the control surface.*process \d+ of uid \d+/);
    expect((await ask(socket(), "/status?format=text")).body).toMatch(/\n~ state +draining\n/);
  });
});

describe("application probes", () => {
  test("are carried out by the proxy, through port 15020", async () => {
    const table = {
      "/app-health/web/readyz": { httpGet: { port: ports.app, path: "/" }, timeoutSeconds: 2 },
      "/app-health/web/livez": { tcpSocket: { port: ports.app } },
      "/app-health/gone/livez": { tcpSocket: { port: 1 } },
    };
    await start({ env: { ISTIO_KUBE_APP_PROBERS: JSON.stringify(table) } });
    const status = { port: ports.status };
    expect(await ask(status, "/app-health/web/readyz")).toMatchObject({ status: 200, body: "hello\n" });
    expect((await ask(status, "/app-health/web/livez")).status).toBe(200);
    expect((await ask(status, "/app-health/gone/livez")).status).toBe(500);
    expect((await ask(status, "/app-health/other/livez")).status).toBe(400);
    expect(proxy.output).toContain("The application's probe fails");
  });

  test("a table that can't be used: 64, every problem, nothing started", async () => {
    proxy = staticProxy(ports, { env: { ISTIO_KUBE_APP_PROBERS: '{"/x":{},"/app-health/a/livez":{"exec":{}}}' } });
    expect(await proxy.exited).toEqual({ code: 64, signal: null });
    expect(proxy.output).toContain('ISTIO_KUBE_APP_PROBERS "/x": no such path');
    expect(proxy.output).toContain('ISTIO_KUBE_APP_PROBERS "/app-health/a/livez": 0 actions');
    expect(proxy.output).not.toContain("Envoy started");
    expect(existsSync(join(proxy.folder.path, "etc/istio/proxy/envoy-rev0.json"))).toBe(false);
  });
});

test("after an end that nobody asked for the termination message says why", {
  skip: process.geteuid?.() !== 0,
}, async () => {
  // A /dev of its own, as a container has, with the file that Kubernetes mounts there.
  const devices = "for d in null:3 zero:5 random:8 urandom:9; do mknod -m 666 dev/${d%:*} c 1 ${d#*:}; done";
  const script = `mkdir dev && mount -t tmpfs none dev && ${devices} && mkdir dev/shm && touch message dev/termination-log && mount --bind message dev/termination-log && mount --rbind dev /dev && exec "$@"`;
  const broken = breakableEnvoy();
  onTestFinished(() => broken.done());
  const prefix = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh"];
  await start({ prefix, env: { PILOTFISH_ENVOY: broken.program } });
  broken.break();
  process.kill(await proxy.envoyPid(), "SIGKILL");
  expect(await proxy.exited).toEqual({ code: 1, signal: null });
  const lines = readFileSync(join(proxy.folder.path, "message"), "utf8").split("\n");
  expect(lines[0]).toMatch(/^Envoy .*SIGSEGV.* before it was live.*\(exit code 1, after \d/);
  expect(lines[0]).not.toContain("exitCode");
  expect(lines).toContain("pilotfish");
  // The log has the events already; it gets how everything stood.
  expect(proxy.output).toMatch(/was killed by SIGSEGV[\s\S]*State at the end .*"?residentBytes"?[=:]\d+/);
  expect(lines.some((line) => line.includes("envoy: Envoy is not started again"))).toBe(true);
});
