import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { typeUrls } from "../../src/protocol/names.ts";
import { realClock } from "../../src/system/clock.ts";
import { type DatagramSocket, datagramSockets } from "../../src/system/datagram-sockets.ts";
import { type Whole, whole } from "../control-plane/whole.ts";
import { type App, startApp } from "../helpers/app.ts";
import { eventually } from "../helpers/eventually.ts";
import { ask } from "../helpers/proxy.ts";

let w: Whole;
let app: App;
let socket: DatagramSocket | undefined;
let heard: string[] = [];
beforeEach(async () => {
  w = await whole();
  heard = [];
  app = await startApp(w.ports.app);
});
afterEach(async () => {
  socket?.close();
  socket = undefined;
  await w.done();
  await app.close();
});

/** What the control plane was told of the application when it was not healthy, the latest last. */
const reasons = () =>
  w.world.plane
    .status()
    .nacks.filter(({ typeUrl }) => typeUrl === typeUrls.health)
    .map(({ text }) => text);

const probing = (probe: object) => ({
  PROXY_CONFIG: JSON.stringify({ readinessProbe: { periodSeconds: 1, ...probe } }),
});

test("the application's health reaches the control plane, on change only", async () => {
  const run = w.start(probing({ httpGet: { port: w.ports.app, path: "/" } }));
  await run.said(/The application is healthy/);
  await app.close();
  await run.said(/The application is not healthy/);
  await eventually("the control plane knows", () => reasons().some((text) => text.includes("ECONNREFUSED")));
  const before = reasons().length;
  app = await startApp(w.ports.app);
  await eventually("it is healthy again", () => run.output.split("The application is healthy").length === 3);
  expect(reasons().length).toBe(before);
  run.signal("SIGTERM");
  expect(await run.exited).toEqual({ code: 0, signal: null });
});

test("a delay before the first question does not hold up the end", async () => {
  const run = w.start(probing({ initialDelaySeconds: 3_600, exec: { command: ["true"] } }));
  await eventually("ready", async () => (await w.ready()).status === 200);
  run.signal("SIGTERM");
  expect(await run.exited).toEqual({ code: 0, signal: null });
  expect(run.output).not.toContain("did not stop in time");
  expect(reasons()).toEqual([]);
});

test("a probe that can't be used: 64, with everything that is wrong, before Envoy starts", async () => {
  const run = w.start(probing({ tcpSocket: {}, exec: { command: [] } }));
  expect(await run.exited).toEqual({ code: 64, signal: null });
  expect(run.output).toContain("ProxyConfig.readinessProbe: it has tcpSocket and exec; give exactly one of");
  expect(run.output).not.toContain("Envoy started");
});

test("systemd hears: why it is not ready, READY once it is, signs of life, more time for a drain, STOPPING", async () => {
  const name = join(w.world.folder, "notify");
  socket = datagramSockets()?.bind(name, {
    clock: realClock,
    onDatagram: ({ bytes }) => heard.push(...bytes.toString("utf8").trimEnd().split("\n")),
    onError: (error) => heard.push(String(error)),
  });
  w.world.plane.setFaults({ refuse: { calls: "ca", code: 7, text: "not in this mesh" } });
  const run = w.start({ NOTIFY_SOCKET: name, WATCHDOG_USEC: "200000" });
  await eventually("the reason", () => heard.some((line) => /^STATUS=not ready: .*not in this mesh/.test(line)));
  expect(heard).not.toContain("READY=1");
  w.world.plane.setFaults({});
  await eventually("ready", () => heard.includes("READY=1"));
  expect((await w.ready()).status).toBe(200);
  await eventually("STATUS=serving", () => heard.includes("STATUS=serving"));
  const pings = () => heard.filter((line) => line === "WATCHDOG=1").length;
  const sofar = pings();
  await eventually("it goes on", () => pings() > sofar + 3);
  expect(
    await ask({ socketPath: join(run.folder.path, "etc/istio/proxy/pilotfish.sock") }, "/drain", { method: "POST" }),
  ).toMatchObject({ status: 200 });
  await eventually("more time", () => heard.includes("EXTEND_TIMEOUT_USEC=10000000"));
  run.signal("SIGTERM");
  expect(await run.exited).toEqual({ code: 0, signal: null });
  expect(heard.filter((line) => line === "READY=1").length).toBe(1);
  expect(heard.filter((line) => line === "STOPPING=1").length).toBe(1);
});
