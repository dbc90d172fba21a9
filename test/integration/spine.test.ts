import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { alive } from "../helpers/alive.ts";
import { type App, startApp } from "../helpers/app.ts";
import { eventually } from "../helpers/eventually.ts";
import { ask, drawPorts, type Ports, type ProxyOptions, type ProxyRun, staticProxy } from "../helpers/proxy.ts";
import type { StaticOptions } from "../helpers/static-bootstrap.ts";

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

const ready = (): Promise<unknown> =>
  eventually(
    "200 on the readiness listener",
    async () => (await ask({ port: ports.readiness }, "/healthz/ready")).status === 200,
  );

async function start(options: ProxyOptions & { readonly static?: StaticOptions } = {}): Promise<void> {
  proxy = staticProxy(ports, options);
  await ready();
}

describe("a static configuration", () => {
  test("is carried to ready, serves, is scraped, and ends clean", async () => {
    const scrape = JSON.stringify({ scrape: "true", port: String(ports.app), path: "/metrics" });
    await start({ env: { ISTIO_PROMETHEUS_ANNOTATIONS: scrape } });
    expect((await ask({ port: ports.status }, "/healthz/ready")).status).toBe(200);
    expect((await ask({ port: ports.listener }, "/")).body).toBe("hello\n");
    const page = await ask({ port: ports.status }, "/stats/prometheus");
    expect(page.status).toBe(200);
    expect(page.body).toMatch(/^istio_agent_/m);
    expect(page.body).toMatch(/^envoy_server_live\{.*\} 1$/m);
    expect(page.body).toMatch(/^app_requests_total [1-9]/m);
    const ours = (await ask({ port: ports.status }, "/metrics")).body;
    expect(ours).toMatch(/^pilotfish_ready 1$/m);
    expect(ours).toMatch(/^pilotfish_readiness_probes_total\{result="ready"\} [1-9]/m);
    expect(ours).toMatch(/^pilotfish_envoy_state\{state="live"\} 1$/m);
    expect(ours).toMatch(/^istio_agent_startup_duration_seconds 0\.\d+/m);
    const envoy = await proxy.envoyPid();
    proxy.signal("SIGTERM");
    expect(await proxy.exited).toEqual({ code: 0, signal: null });
    expect(alive(envoy)).toBe(false);
    await expect(ask({ port: ports.status }, "/healthz/ready")).rejects.toThrow("ECONNREFUSED");
    expect(readdirSync(join(proxy.folder.path, "etc/istio/proxy"))).toEqual([]);
  });

  test("the bootstrap and the socket are readable by nobody else", async () => {
    await start();
    const folder = join(proxy.folder.path, "etc/istio/proxy");
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, "pilotfish.sock")).mode & 0o777).toBe(0o600);
    for (const name of readdirSync(folder).filter((one) => one.startsWith("envoy-rev"))) {
      expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
    }
  });

  test("Envoy does not inherit our tuning", async () => {
    await start({ env: { KEPT: "yes", MALLOC_TRIM_THRESHOLD_: "12345" } });
    const env = readFileSync(`/proc/${await proxy.envoyPid()}/environ`, "utf8").split("\0");
    expect(env).toContain("KEPT=yes");
    expect(env).toContain("MALLOC_TRIM_THRESHOLD_=12345");
    expect(env.filter((one) => one.startsWith("MALLOC_ARENA_MAX") || one.startsWith("PILOTFISH_TUNING"))).toEqual([]);
  });

  test("with --log_as_json every line is one JSON object, Envoy's too", async () => {
    await start({ args: ["--log_as_json", "--proxyLogLevel=info"] });
    proxy.signal("SIGTERM");
    await proxy.exited;
    const lines = proxy.output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    for (const line of lines)
      expect(Object.keys(line)).toEqual(expect.arrayContaining(["level", "time", "scope", "msg"]));
    expect(lines.some((line) => String(line["scope"]).startsWith("envoy ") && line["thread"] !== undefined)).toBe(true);
  });
});

describe("stop", () => {
  test("not ready at once, what is in flight is finished, then the end", async () => {
    await start({
      args: ["--min-drain", "0s"],
      static: { listener: { port: ports.listener, to: ports.app, listenHost: "0.0.0.0" } },
    });
    const inFlight = ask({ port: ports.listener }, "/hold");
    await eventually("the request is in flight", () => app.held() === 1);
    proxy.signal("SIGTERM");
    await eventually("not ready", async () => {
      const answer = await ask({ port: ports.status }, "/healthz/ready");
      return answer.status === 503 && answer.body.includes("SIGTERM");
    });
    app.release();
    expect((await inFlight).body).toBe("released\n");
    expect(await proxy.exited).toEqual({ code: 0, signal: null });
    expect(proxy.output).toContain("no connection is left");
  });

  test("a pod that was called stays for its callers; new connections are served meanwhile", async () => {
    await start({
      args: ["--min-drain", "1500ms"],
      static: { listener: { port: ports.listener, to: ports.app, listenHost: "0.0.0.0" } },
    });
    await ask({ port: ports.listener }, "/");
    proxy.signal("SIGTERM");
    await proxy.said(/Draining/);
    expect((await ask({ port: ports.listener }, "/")).status).toBe(200);
    expect(await proxy.exited).toEqual({ code: 0, signal: null });
    const took = Number(/Drained: no connection is left.*tookMs[=":]+(\d+)/.exec(proxy.output)?.[1]);
    expect(took).toBeGreaterThanOrEqual(1_500);
  });

  test("a pod that nobody called does not stay", async () => {
    await start();
    proxy.signal("SIGTERM");
    expect(await proxy.exited).toEqual({ code: 0, signal: null });
    const took = Number(/Drained: no connection is left.*tookMs[=":]+(\d+)/.exec(proxy.output)?.[1]);
    expect(took).toBeLessThan(1_500);
  });

  test("a connection that never ends is waited for, a second SIGTERM ends that", async () => {
    await start({ env: { PROXY_CONFIG: '{"terminationDrainDuration": "600s"}' } });
    const inFlight = ask({ port: ports.listener }, "/hold").catch((error: unknown) => error);
    await eventually("the request is in flight", () => app.held() === 1);
    proxy.signal("SIGTERM");
    await proxy.said(/Draining/);
    proxy.signal("SIGTERM");
    expect(await proxy.exited).toEqual({ code: 0, signal: null });
    expect(await inFlight).toBeInstanceOf(Error);
  });

  test("POST /quitquitquit ends without a drain, and only from true loopback", async () => {
    await start();
    expect((await ask({ port: ports.status }, "/quitquitquit")).status).toBe(405);
    expect((await ask({ port: ports.status }, "/quitquitquit", { method: "POST" })).status).toBe(200);
    expect(await proxy.exited).toEqual({ code: 0, signal: null });
    expect(proxy.output).not.toContain("Draining");
  });

  test("Envoy's own /quitquitquit counts as asked", async () => {
    await start();
    await ask({ port: ports.admin }, "/quitquitquit", { method: "POST" });
    expect(await proxy.exited).toEqual({ code: 0, signal: null });
    expect(proxy.output).toContain("asked to end through its admin");
  });
});

describe("signals", () => {
  test("HUP is answered in words, USR1 reaches Envoy, QUIT writes the state", async () => {
    await start({ args: ["--proxyLogLevel=info"] });
    proxy.signal("SIGHUP");
    await proxy.said(/Restart of Envoy (refused|failed)|Envoy (hot-restarted|swapped)/);
    proxy.signal("SIGUSR1");
    await proxy.said(/reopen its logs/);
    await proxy.said(/caught SIGUSR1|reopening (file|access)/i);
    proxy.signal("SIGQUIT");
    await proxy.said(/State.*"state":"live"/);
    expect((await ask({ port: ports.readiness }, "/healthz/ready")).status).toBe(200);
  });
});

test("our SIGKILL takes Envoy along, and the next start works in the same folder", async () => {
  await start();
  const envoy = await proxy.envoyPid();
  proxy.signal("SIGKILL");
  expect(await proxy.exited).toEqual({ code: null, signal: "SIGKILL" });
  await eventually("Envoy is gone", () => !alive(envoy));
  expect(existsSync(join(proxy.folder.path, "etc/istio/proxy/pilotfish.sock"))).toBe(true);
  const leftovers = proxy.folder.path;
  const next = staticProxy(ports, { prefix: ["env", "-C", leftovers] });
  try {
    await ready();
    next.signal("SIGTERM");
    expect(await next.exited).toEqual({ code: 0, signal: null });
  } finally {
    await next.done();
  }
});
