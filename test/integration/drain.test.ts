import { rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { alive } from "../helpers/alive.ts";
import { type App, startApp } from "../helpers/app.ts";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import {
  type Answer,
  ask,
  drawPorts,
  type Ports,
  type ProxyOptions,
  type ProxyRun,
  staticProxy,
} from "../helpers/proxy.ts";
import type { StaticOptions } from "../helpers/static-bootstrap.ts";

/* Every drain that there is, with a real Envoy: in which order what is said, and how it ends. Times are the bench's. */

let ports: Ports;
let app: App;
let proxy: ProxyRun;
const sockets: Socket[] = [];

beforeEach(async () => {
  ports = await drawPorts();
  app = await startApp(ports.app);
});
afterEach(async () => {
  for (const one of sockets.splice(0)) one.destroy();
  await proxy.done();
  await app.close();
});

type Options = ProxyOptions & { readonly static?: StaticOptions };
const noStay = ["--min-drain", "0s"];
/** Of a grace period of 4 s a drain may take 3. */
const shortGrace = { TERMINATION_GRACE_PERIOD: "4s" };

async function start(options: Options = {}): Promise<void> {
  proxy = staticProxy(ports, options);
  await eventually("ready", async () => (await ask({ port: ports.readiness }, "/healthz/ready")).status === 200);
}

/** A request that stays in flight; `answer` is what becomes of it. */
async function hold(): Promise<{ readonly answer: Promise<Answer | Error> }> {
  const before = app.held();
  const answer = ask({ port: ports.listener }, "/hold", { timeout: 60_000 }).catch((error: unknown) => error as Error);
  await eventually("the request is in flight", () => app.held() === before + 1);
  return { answer };
}

const post = (path: string) => ask({ port: ports.status }, path, { method: "POST" });

/** The sentences of the end, in their order. */
const sentences =
  /Asked to stop|Asked over the control surface|Draining until told to stop|Stopping after the drain|Draining|Drained: no connection is left|Drained: the time for draining is over|Ending Envoy|Killing Envoy|stopped:/g;
const story = (): readonly string[] => [...proxy.output.matchAll(sentences)].map(([sentence]) => sentence);
const idleEnd = ["Drained: no connection is left", "Ending Envoy", "stopped:"];
const lateEnd = ["Drained: the time for draining is over", "Ending Envoy", "stopped:"];

async function ended(): Promise<readonly string[]> {
  expect(await proxy.exited, proxy.output).toEqual({ code: 0, signal: null });
  return story();
}
/** How long the drain took by its own word, ms. */
const drained = (): number => Number(/Drained: .*tookMs=(\d+)/.exec(proxy.output)?.[1]);

describe("SIGTERM", () => {
  test("idle: over at once, whatever probes and scrapers have open", async () => {
    await start();
    for (const port of [ports.readiness, ports.prometheus, ports.admin]) {
      const socket = connect(port, "127.0.0.1");
      sockets.push(socket);
      await new Promise((resolve) => socket.once("connect", resolve));
    }
    const envoy = await proxy.envoyPid();
    proxy.signal("SIGTERM");
    expect(await ended()).toEqual(["Asked to stop", "Draining", ...idleEnd]);
    expect(alive(envoy)).toBe(false);
    expect(drained()).toBeLessThan(5_000);
  });

  test("busy, and that ends: the request is answered, then it is over", async () => {
    await start({ args: noStay });
    const { answer } = await hold();
    proxy.signal("SIGTERM");
    await proxy.said(/Draining/);
    app.release();
    expect(await answer).toMatchObject({ status: 200, body: "released\n" });
    expect(await ended()).toEqual(["Asked to stop", "Draining", ...idleEnd]);
  });

  test("busy, and that never ends: to the end of the budget, and Envoy needs no SIGKILL", async () => {
    await start({ args: noStay, env: shortGrace });
    const { answer } = await hold();
    proxy.signal("SIGTERM");
    expect(await ended()).toEqual(["Asked to stop", "Draining", ...lateEnd]);
    expect(drained()).toBeGreaterThanOrEqual(3_000);
    expect(proxy.output).toMatch(/Drained: .*connections=1/);
    expect(await answer).toBeInstanceOf(Error);
  });

  test("the plan is printed as times, inside the grace period", async () => {
    await start({ args: ["--termination-grace=20s"] });
    proxy.signal("SIGTERM");
    const time = String.raw`(\d\d:\d\d:\d\d\.\d{3})`;
    const plan = new RegExp(
      `Draining .*plan="drain from ${time}, over between ${time} and ${time}, Envoy killed by ${time}, end of grace ${time}"`,
    );
    const [, ...times] = await proxy.said(plan);
    const [from = 0, ...rest] = times.map((one) => Date.parse(`1970-01-02T${one}Z`));
    expect(rest.map((one) => (one - from + 86_400_000) % 86_400_000)).toEqual([5_000, 15_000, 19_000, 20_000]);
    await ended();
  });

  test("a caller who has connected and said nothing yet is waited for, also in a pod that nobody called before", async () => {
    await start({ args: noStay, static: { inspects: true } });
    const socket = connect(ports.listener, "127.0.0.1");
    sockets.push(socket);
    await eventually("Envoy has it, and takes it for no connection yet", async () => {
      const { body } = await ask({ port: ports.admin }, "/stats?filter=downstream_(pre_cx_active|cx_total)$");
      const stat = (name: string): string | undefined =>
        new RegExp(`${ports.listener}\\.${name}: (\\d+)`).exec(body)?.[1];
      return stat("downstream_pre_cx_active") === "1" && stat("downstream_cx_total") === "0";
    });
    const from = performance.now();
    proxy.signal("SIGTERM");
    await proxy.said(/Draining/);
    await eventually("several counts were made", () => performance.now() > from + 1_000);
    let heard = "";
    socket.on("data", (text: Buffer) => {
      heard += text.toString();
    });
    socket.on("error", (error) => {
      heard += String(error);
    });
    socket.write("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    await eventually("an answer", () => heard !== "");
    expect(heard).toMatch(/^HTTP\/1\.1 200 OK/);
    expect(await ended()).toEqual(["Asked to stop", "Draining", ...idleEnd]);
  });

  test("a second one ends the drain", async () => {
    await start();
    const { answer } = await hold();
    proxy.signal("SIGTERM");
    await proxy.said(/Draining/);
    proxy.signal("SIGTERM");
    expect(await ended()).toEqual(["Asked to stop", "Draining", "Asked to stop", "Ending Envoy", "stopped:"]);
    expect(await answer).toBeInstanceOf(Error);
  });
});

describe("an Envoy that does not help", () => {
  test("nobody can count its connections: unknown is not zero, and not for ever", async () => {
    const adminPath = join("/tmp", `pilotfish-drain-${process.pid}-${ports.admin}.sock`);
    await start({ args: noStay, static: { adminPath } });
    const { answer } = await hold();
    rmSync(adminPath);
    proxy.signal("SIGTERM");
    expect(await ended()).toEqual(["Asked to stop", "Draining", ...lateEnd]);
    expect(proxy.output).toContain("Cannot tell Envoy to drain");
    expect(proxy.output).toMatch(/Drained: .*connections="?unknown/);
    expect(drained()).toBeGreaterThanOrEqual(5_000);
    expect(drained()).toBeLessThan(25_000);
    expect(await answer).toBeInstanceOf(Error);
  });

  test("it hangs: SIGTERM, then SIGKILL, all inside the grace period", async () => {
    await start({ env: shortGrace });
    const envoy = await proxy.envoyPid();
    process.kill(envoy, "SIGSTOP");
    proxy.signal("SIGTERM");
    expect(await ended()).toEqual([
      "Asked to stop",
      "Draining",
      lateEnd[0],
      "Ending Envoy",
      "Killing Envoy",
      "stopped:",
    ]);
    expect(alive(envoy)).toBe(false);
  });

  test("it hangs and somebody is in a hurry: the third SIGTERM kills it", async () => {
    await start();
    process.kill(await proxy.envoyPid(), "SIGSTOP");
    for (const said of [/Draining/, /Ending Envoy/, /Killing Envoy/]) {
      proxy.signal("SIGTERM");
      await proxy.said(said);
    }
    expect((await ended()).slice(-2)).toEqual(["Killing Envoy", "stopped:"]);
  });

  test("it dies during the drain: the stop is done", async () => {
    await start();
    const { answer } = await hold();
    proxy.signal("SIGTERM");
    await proxy.said(/Draining/);
    process.kill(await proxy.envoyPid(), "SIGKILL");
    expect(await ended()).toEqual(["Asked to stop", "Draining", "stopped:"]);
    expect(await answer).toBeInstanceOf(Error);
  });

  test("it dies while only a drain was asked for: that is a crash", async () => {
    await start();
    await post("/drain");
    await proxy.said(/Draining until told to stop/);
    process.kill(await proxy.envoyPid(), "SIGKILL");
    expect(await proxy.exited).toEqual({ code: 1, signal: null });
  });
});

describe("POST /drain and SIGTERM", () => {
  test("preStop, then SIGTERM: the drain goes on, and its clock began with the first", async () => {
    await start({ args: noStay, env: shortGrace });
    const { answer } = await hold();
    await post("/drain");
    await proxy.said(/Draining until told to stop/);
    await eventually("not ready", async () => (await ask({ port: ports.status }, "/healthz/ready")).status === 503);
    proxy.signal("SIGTERM");
    const [, from = ""] = await proxy.said(/Stopping after the drain .*plan="drain from ([\d:.]+),/);
    const [, asked = ""] = await proxy.said(/T([\d:.]+)Z.*Asked to stop/);
    expect(from < asked || asked.startsWith("00:")).toBe(true);
    expect(await ended()).toEqual([
      "Asked over the control surface",
      "Draining until told to stop",
      "Asked to stop",
      "Stopping after the drain",
      ...lateEnd,
    ]);
    expect(drained()).toBeGreaterThanOrEqual(3_000);
    expect(await answer).toBeInstanceOf(Error);
  });

  test("SIGTERM, then preStop: the drain that is under way goes on", async () => {
    await start({ args: noStay });
    const { answer } = await hold();
    proxy.signal("SIGTERM");
    await proxy.said(/Draining/);
    expect((await post("/drain")).status).toBe(200);
    app.release();
    expect(await answer).toMatchObject({ status: 200 });
    expect(await ended()).toEqual(["Asked to stop", "Draining", "Asked over the control surface", ...idleEnd]);
  });

  test("a drained pod without connections goes at once when it is told to", async () => {
    await start();
    await post("/drain");
    await proxy.said(/Draining until told to stop/);
    proxy.signal("SIGTERM");
    expect((await ended()).slice(-4)).toEqual(["Stopping after the drain", ...idleEnd]);
  });
});

describe("POST /quitquitquit", () => {
  test("without a drain, whatever is in flight", async () => {
    await start();
    const { answer } = await hold();
    await post("/quitquitquit");
    expect(await ended()).toEqual(["Asked over the control surface", "Ending Envoy", "stopped:"]);
    expect(await answer).toBeInstanceOf(Error);
  });

  test("?drain: as SIGTERM", async () => {
    await start({ args: noStay });
    const { answer } = await hold();
    await post("/quitquitquit?drain");
    await proxy.said(/Draining/);
    app.release();
    expect(await answer).toMatchObject({ status: 200 });
    expect(await ended()).toEqual(["Asked over the control surface", "Draining", ...idleEnd]);
  });

  test("during a drain it ends it", async () => {
    await start();
    await hold();
    await post("/drain");
    await proxy.said(/Draining until told to stop/);
    await post("/quitquitquit");
    expect((await ended()).slice(-2)).toEqual(["Ending Envoy", "stopped:"]);
  });
});

test("a called pod takes new connections for all of its stay, also when Envoy's own drain is over before", async () => {
  await start({
    args: ["--drainDuration=1s", "--parentShutdownDuration=60s", "--min-drain=3s"],
    static: { listener: { port: ports.listener, to: ports.app, listenHost: "0.0.0.0" } },
  });
  await ask({ port: ports.listener }, "/");
  proxy.signal("SIGTERM");
  await proxy.said(/Draining/);
  const { answer } = await hold();
  const from = performance.now();
  while (performance.now() < from + 2_000) expect((await ask({ port: ports.listener }, "/")).status).toBe(200);
  app.release();
  expect(await answer).toMatchObject({ status: 200 });
  expect(await ended()).toEqual(["Asked to stop", "Draining", ...idleEnd]);
  expect(drained()).toBeGreaterThanOrEqual(3_000);
});

test("a configuration of one's own that says no direction is drained as a whole", async () => {
  await start();
  const { answer } = await hold();
  proxy.signal("SIGTERM");
  await proxy.said(/Draining/);
  await eventually(
    "callers are asked to go",
    async () => (await keepAlive(ports.listener)).headers["connection"] === "close",
  );
  app.release();
  expect(await answer).toMatchObject({ status: 200 });
  await ended();
});

test("EXIT_ON_ZERO_ACTIVE_CONNECTIONS: an uncalled pod stays its minimum, a busy one until it is not", async () => {
  const env = {
    EXIT_ON_ZERO_ACTIVE_CONNECTIONS: "true",
    MINIMUM_DRAIN_DURATION: "1s",
    PROXY_CONFIG: '{"terminationDrainDuration": "1s"}',
  };
  await start({ env });
  const { answer } = await hold();
  const from = performance.now();
  proxy.signal("SIGTERM");
  await proxy.said(/Draining/);
  await eventually("its duration is over", () => performance.now() > from + 2_000);
  app.release();
  expect(await answer).toMatchObject({ status: 200 });
  expect(await ended()).toEqual(["Asked to stop", "Draining", ...idleEnd]);
  await proxy.done();
  await start({ env });
  proxy.signal("SIGTERM");
  await ended();
  expect(drained()).toBeGreaterThanOrEqual(1_000);
});

test("inbound only: callers are asked to go, the application's way out is not touched", async () => {
  const [out = 0] = await freePorts(1);
  await start({
    files: { "etc/istio/config/mesh": `proxyListenPort: ${out}\n` },
    static: { outbound: { port: out, to: ports.app } },
  });
  const { answer } = await hold();
  expect((await keepAlive(ports.listener)).headers["connection"]).not.toBe("close");
  proxy.signal("SIGTERM");
  await proxy.said(/Draining/);
  const header = async (port: number): Promise<unknown> => {
    const { status, headers } = await keepAlive(port);
    expect(status).toBe(200);
    return headers["connection"];
  };
  await eventually("callers are asked to go", async () => (await header(ports.listener)) === "close");
  for (let n = 0; n < 20; n++) expect(await header(out)).not.toBe("close");
  app.release();
  expect(await answer).toMatchObject({ status: 200 });
  await ended();
});

/** Node says `Connection: close` without an agent; a caller that would stay says keep-alive. */
const keepAlive = (port: number) => ask({ port }, "/", { headers: { connection: "keep-alive" } });
