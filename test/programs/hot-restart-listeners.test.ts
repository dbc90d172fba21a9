import { renameSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { noLog } from "../../src/foundation/log.ts";
import { KeptSockets, type RefreshOutcome } from "../../src/process/hot-restart/kept-sockets.ts";
import { repairFlag } from "../../src/process/hot-restart/shared-memory.ts";
import { StandInParent } from "../../src/process/hot-restart/stand-in-parent.ts";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { Load } from "../helpers/load/load.ts";
import { envoy, previousEnvoy } from "../helpers/paths.ts";
import { httpFilter, listener, Rig, udpListener } from "./hot-restart-rig.ts";

/** Kept sockets while listeners come and go, other kinds of listeners, and other versions of Envoy. */
let rig: Rig;
let kept: KeptSockets;
let load: Load | undefined;
let port: number;

beforeEach(async () => {
  rig = await Rig.make();
  kept = new KeptSockets(rig.sockets, noLog);
  load = undefined;
  [port = 0] = await freePorts(1);
});
afterEach(async () => {
  await load?.done();
  kept.close();
  await rig.done();
});

const refresh = async (epoch: number, again = false): Promise<RefreshOutcome> =>
  kept.refresh(rig.place(epoch), { addresses: await rig.addresses(), workers: 2 }, { again });

/** Listeners from a file that Envoy watches. */
class ListenerFile {
  readonly #path = join(rig.folder.path, "listeners.json");
  #version = 0;

  set(listeners: readonly object[]): void {
    this.#version += 1;
    const type = "type.googleapis.com/envoy.config.listener.v3.Listener";
    const resources = listeners.map((one) => ({ "@type": type, ...one }));
    writeFileSync(`${this.#path}.new`, JSON.stringify({ version_info: String(this.#version), resources }));
    renameSync(`${this.#path}.new`, this.#path);
  }

  bootstrap(): object {
    const lds_config = { resource_api_version: "V3", path_config_source: { path: this.#path } };
    return { ...rig.bootstrap(), node: { id: "x", cluster: "x" }, dynamic_resources: { lds_config } };
  }
}

/** "accepted", or the error of one connection. */
const connectOnce = (to: number): Promise<string> =>
  new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port: to });
    socket.once("connect", () => {
      resolve("accepted");
      socket.destroy();
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });

const listening = (wanted: boolean): Promise<boolean> =>
  eventually(
    `a listener on the port: ${wanted}`,
    async () => (await rig.addresses()).includes(`tcp://127.0.0.1:${port}`) === wanted,
  );

test("a listener that comes is kept, one that goes is let go and refuses at once", async () => {
  const file = new ListenerFile();
  file.set([]);
  await rig.live(0, { bootstrap: file.bootstrap() });
  expect(await refresh(0)).toMatchObject({ is: "kept" });
  const before = kept.count;
  file.set([listener("dynamic", "127.0.0.1", port, httpFilter())]);
  await listening(true);
  expect(await refresh(0)).toMatchObject({ is: "kept", added: [{ worker: 0 }, { worker: 1 }], missing: [] });
  expect(kept.count).toBe(before + 2);
  file.set([]);
  await listening(false);
  expect(await refresh(0)).toMatchObject({ is: "kept", added: [], dropped: [{ worker: 0 }, { worker: 1 }] });
  await eventually("the port refuses", async () => (await connectOnce(port)) === "ECONNREFUSED");
});

test("a listener that went and came back unseen is found when asked again", async () => {
  const file = new ListenerFile();
  const dynamic = listener("dynamic", "127.0.0.1", port, httpFilter());
  file.set([dynamic]);
  await rig.live(0, { bootstrap: file.bootstrap() });
  await refresh(0);
  const address = `tcp://127.0.0.1:${port}`;
  const identity = (): number => rig.sockets.identityOf(kept.descriptorFor(address, 0) ?? -1);
  const old = identity();
  file.set([]);
  await listening(false);
  // One that comes back while the old one drains gets its sockets from that.
  await eventually("nothing drains any more", async () =>
    (await rig.ask("/stats?filter=total_listeners_draining")).body.includes("total_listeners_draining: 0"),
  );
  file.set([dynamic]);
  await listening(true);
  expect(await refresh(0)).toMatchObject({ added: [], dropped: [] });
  expect(identity()).toBe(old);
  expect(await refresh(0, true)).toMatchObject({ added: [{ address }, { address }] });
  expect(identity()).not.toBe(old);
  load = await Load.start([{ kind: "new-connection", port, clients: 4, timeout: 3_000 }]);
  await eventually("200 good ones", async () => ((await load?.tally())?.ok ?? 0) > 200);
  expect((await load.stop()).failed).toBe(0);
});

test("one socket for all workers without reuse_port; none of UDP and of what is not bound", async () => {
  const [shared = 0, unbound = 0, udp = 0] = await freePorts(3);
  const more = [
    listener("shared", "127.0.0.1", shared, httpFilter(), { enable_reuse_port: false }),
    listener("unbound", "127.0.0.1", unbound, httpFilter(), { bind_to_port: false }),
    udpListener("udp", udp),
  ];
  const bootstrap = rig.bootstrap(more);
  const run = await rig.live(0, { bootstrap });
  const outcome = await refresh(0);
  const missing = outcome.is === "kept" ? outcome.missing.map((one) => `${one.address} ${one.worker}`) : outcome;
  expect(missing).toEqual([unbound, udp].flatMap((one) => [0, 1].map((w) => `tcp://127.0.0.1:${one} ${w}`)));
  const identities = [0, 1].map((worker) =>
    rig.sockets.identityOf(kept.descriptorFor(`tcp://127.0.0.1:${shared}`, worker) ?? -1),
  );
  expect(identities[0]).toBe(identities[1]);
  // And a new epoch takes it: with its own socket it could not even bind.
  load = await Load.start([{ kind: "new-connection", port: shared, clients: 3, timeout: 10_000 }]);
  await eventually("load runs", async () => ((await load?.tally())?.ok ?? 0) > 50);
  await run.kill();
  const standIn = new StandInParent(rig.sockets, rig.place(0), { kept });
  await rig.live(1, { bootstrap, parentShutdown: 1 });
  await eventually("Terminate", () => standIn.terminated);
  standIn.close();
  expect((await load.stop()).count("refused")).toBe(0);
});

test("the parent dies while the child initializes: the kept sockets let the same epoch start, nobody is refused", async () => {
  const parent = await rig.live(0);
  await refresh(0);
  load = await Load.start(rig.load("keep-alive", "new-connection", "http2"));
  await eventually("load runs", async () => ((await load?.tally())?.ok ?? 0) > 100);
  const child = rig.start(1, { bootstrap: { ...rig.bootstrap(), ...rig.silentControlPlane() } });
  await eventually("the child has attached", () => rig.flag() === true);
  await eventually("the child initializes", () => /initializing epoch 1/.test(child.output));
  await parent.kill();
  await child.kill();
  expect(repairFlag(rig.shm, "11.104")).toEqual({ is: "repaired" });
  const standIn = new StandInParent(rig.sockets, rig.place(0), { kept });
  const again = await rig.live(1, { parentShutdown: 1 });
  await eventually("Terminate", () => standIn.terminated);
  expect(kept.dropUnclaimed(standIn.claimed)).toEqual([]);
  standIn.close();
  const report = await load.stop();
  expect(report.count("refused"), report.toString()).toBe(0);
  expect(report.failed, report.toString()).toBeLessThanOrEqual(12);
  expect(again.end).toBeUndefined();
});

test.each([
  ["forward", envoy, previousEnvoy],
  ["backward", previousEnvoy, envoy],
])("the release before understands the same words: %s", async (_, from, to) => {
  const first = await rig.live(0, { program: from });
  await refresh(0);
  load = await Load.start(rig.load("keep-alive", "new-connection", "http2"));
  await eventually("load runs", async () => ((await load?.tally())?.ok ?? 0) > 100);
  const second = await rig.live(1, { program: to, parentShutdown: 1 });
  expect(await first.exited).toBe("0");
  const calm = await load.tally();
  expect(calm.failed, calm.toString()).toBe(0);
  expect(await refresh(1, true)).toMatchObject({ is: "kept", added: [], missing: [] });
  await second.kill();
  const standIn = new StandInParent(rig.sockets, rig.place(1), { kept });
  await rig.live(2, { program: from, parentShutdown: 1 });
  await eventually("Terminate", () => standIn.terminated);
  standIn.close();
  const report = await load.stop();
  expect(report.count("refused"), report.toString()).toBe(0);
});
