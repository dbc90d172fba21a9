import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { expectOnlyInFlight, FaultRun } from "../helpers/faults/fault-run.ts";
import { memoryContainer } from "../helpers/faults/memory-container.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { envoy, temporaryFolder } from "../helpers/paths.ts";
import { ask } from "../helpers/proxy.ts";
import { answeringListener } from "../helpers/restarts/bootstrap.ts";
import { heldSockets } from "../helpers/restarts/leaks.ts";
import { MeshRig } from "../helpers/restarts/mesh-rig.ts";

/* Listen sockets that are kept beside Envoy: when they cannot be, and that they are let go in time. */

let run: FaultRun | undefined;
const ends: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  await run?.done();
  run = undefined;
  for (const end of ends.splice(0).reverse()) await end();
});

/** What a caller gets who wants nothing but a connection. */
function connects(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve("connected");
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

const refused = (port: number) => eventually(`${port} refuses`, async () => (await connects(port)) === "ECONNREFUSED");

test("Envoy killed by the kernel for memory: counted as that, started again, 0 refused", async () => {
  const container = memoryContainer("400M");
  ends.push(() => container.remove());
  run = await FaultRun.start({ prefix: container.prefix });
  const load = await run.load();
  const { pid } = await run.untilAlone();
  const story = run.story();
  await container.killForMemory(pid);
  await story.says(/Envoy died.*out of memory.*cause=out-of-memory keptSockets=[1-9]/, /Envoy is live/);
  const died = story.momentOf(/Envoy died/);
  await story.says(/The new Envoy is alone/);
  expect(await run.latest()).toMatchObject({ cause: "crash", outcome: "restarted", by: "crash-restart" });
  await run.nextRestartWorks();
  expectOnlyInFlight(await load.stop(), [died]);
  await run.end();
});

test("no shared memory: said once; after a death Envoy is simply started again, and it is a swap that replaces it", async () => {
  const prefix = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro none /dev/shm; exec "$@"', "sh"];
  run = await FaultRun.startWithoutKeeping({ prefix, args: ["--probation", "1s"] });
  await run.proxy.said(/Hot restart is off; a restart will be a swap.*shared memory cannot be used/);
  const load = await run.load();
  await plainRestart(run);
  // What the other tests look for and don't find is there when nobody keeps the sockets.
  expect((await load.stop()).count("refused")).toBeGreaterThan(0);
  const story = run.story();
  run.proxy.signal("SIGHUP");
  await story.says(
    /A second Envoy is started beside this one/,
    /The new Envoy has taken over/,
    /The old Envoy has ended/,
  );
  expect(await run.latest()).toMatchObject({ cause: "SIGHUP", outcome: "restarted", by: "swap" });
  await run.untilAlone();
  run.proxy.signal("SIGTERM");
  expect(await run.proxy.exited).toEqual({ code: 0, signal: null });
});

test("an Envoy of another hot-restart protocol: nothing is kept of it, and it is simply started again", async () => {
  const folder = temporaryFolder("other-protocol");
  ends.push(folder.done);
  const program = join(folder.path, "envoy");
  // It says "disabled" to those who ask for its version, as another version would say something else.
  const words = `#!/bin/sh\ncase " $* " in *" --restart-epoch "*) exec ${envoy} "$@" --disable-hot-restart ;; esac\nexec ${envoy} "$@"\n`;
  writeFileSync(program, words, { mode: 0o755 });
  run = await FaultRun.startWithoutKeeping({ envoy: program });
  await plainRestart(run);
  run.proxy.signal("SIGTERM");
  expect(await run.proxy.exited).toEqual({ code: 0, signal: null });
});

/** Its only Envoy is killed: the next one begins from nothing, at once. */
async function plainRestart(of: FaultRun): Promise<void> {
  const { pid } = await of.untilAlone();
  const story = of.story();
  of.kill(pid);
  await story.says(/Envoy died.*keptSockets=0/, /Envoy started epoch=0/, /Envoy is live epoch=0/);
  expect(story.text).not.toMatch(/after a while/);
  expect(heldSockets(of.proxy.pid, of.ports.listener)).toBe(0);
  await of.ready();
  expect(await of.latest()).toMatchObject({ cause: "crash", outcome: "restarted", by: "crash-restart" });
}

test("a listener that the control plane takes away is refused, and its kept socket with it", async () => {
  const [port = 0] = await freePorts(1);
  const mesh = await MeshRig.start();
  ends.push(() => mesh.done());
  mesh.give([answeringListener("comes-and-goes", port)]);
  await eventually("it answers", async () => (await ask({ port }, "/")).status === 200);
  await mesh.keeps(port);
  mesh.give([]);
  await refused(port);
  expect(heldSockets(mesh.proxy.pid, port)).toBe(0);
  expect((await ask({ port: mesh.plain }, "/")).status).toBe(200);
  expect(await mesh.ends()).toEqual({ code: 0, signal: null });
});

test("in a drain nothing is kept any more, though Envoy serves on; after the end callers are refused", async () => {
  run = await FaultRun.start();
  const { app, ports, proxy } = run;
  const inFlight = ask({ port: ports.listener }, "/hold", { timeout: 60_000 });
  await eventually("a request is held", () => app.held() === 1);
  proxy.signal("SIGTERM");
  await eventually("all are let go", () => heldSockets(proxy.pid, ports.listener) === 0);
  expect((await ask({ port: ports.listener }, "/")).status).toBe(200);
  app.release();
  expect((await inFlight).status).toBe(200);
  expect(await proxy.exited).toEqual({ code: 0, signal: null });
  expect(await connects(ports.listener)).toBe("ECONNREFUSED");
});
