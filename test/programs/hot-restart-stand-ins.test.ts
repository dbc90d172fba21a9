import { afterEach, beforeEach, expect, test } from "vitest";
import { noLog } from "../../src/foundation/log.ts";
import { KeptSockets } from "../../src/process/hot-restart/kept-sockets.ts";
import { encodeRequest } from "../../src/process/hot-restart/message.ts";
import { repairFlag } from "../../src/process/hot-restart/shared-memory.ts";
import { StandInChild } from "../../src/process/hot-restart/stand-in-child.ts";
import { StandInParent } from "../../src/process/hot-restart/stand-in-parent.ts";
import { tellParent } from "../../src/process/hot-restart/tell-parent.ts";
import { eventually } from "../helpers/eventually.ts";
import { Load } from "../helpers/load/load.ts";
import { type EnvoyRun, processState, Rig } from "./hot-restart-rig.ts";

/** Faults of a hot restart between real Envoys, and what the stand-ins make of them. */
let rig: Rig;
let load: Load | undefined;
const closing: (() => void)[] = [];

beforeEach(async () => {
  rig = await Rig.make();
  load = undefined;
});
afterEach(async () => {
  await load?.done();
  for (const close of closing.splice(0)) close();
  await rig.done();
});

/** Statistics are flushed, and the parent is asked for its own, this often: the sooner a dead parent is noticed. */
const eagerStats = (): object => ({ ...rig.bootstrap(), stats_flush_interval: "0.2s" });

/** A child that never gets LIVE: its control plane does not answer. */
const neverLive = (): object => ({ ...rig.bootstrap(), ...rig.silentControlPlane() });

const attached = (): Promise<boolean> => eventually("a child has attached", () => rig.flag() === true);
const good = async (count: number): Promise<void> => {
  const before = (await load?.tally())?.ok ?? 0;
  await eventually("good answers", async () => ((await load?.tally())?.ok ?? 0) >= before + count);
};

test("a stand-in parent keeps the child alive after its parent was killed in the drain", async () => {
  const parent = await rig.live(0, { bootstrap: eagerStats() });
  load = await Load.start(rig.load("keep-alive", "new-connection", "http2"));
  const child = await rig.live(1, { bootstrap: eagerStats(), parentShutdown: 3 });
  await eventually("the parent has closed its listeners", () => /draining listeners/.test(parent.output));
  await good(200);
  await parent.kill();
  const asked: string[] = [];
  const standIn = new StandInParent(rig.sockets, rig.place(0), { onAsked: ({ what }) => asked.push(what) });
  closing.push(() => standIn.close());
  await eventually("three questions for statistics", () => asked.filter((one) => one === "stats").length >= 3);
  await eventually("Terminate", () => standIn.terminated);
  standIn.close();
  await good(200);
  expect(await rig.isLive(1)).toBe(true);
  // The next hot restart is an ordinary one.
  const next = await rig.live(2, { bootstrap: eagerStats(), parentShutdown: 1 });
  expect(await child.exited).toBe("0");
  const report = await load.stop();
  expect(report.count("refused"), report.toString()).toBe(0);
  // Only what the killed parent had in flight can be lost, and at a drained parent that is next to nothing.
  expect(report.failed, report.toString()).toBeLessThanOrEqual(12);
  expect(next.end).toBeUndefined();
});

test("a child that waits for a parent that hung and is dead is freed", async () => {
  const parent = await rig.live(0, { bootstrap: eagerStats() });
  const child = await rig.live(1, { bootstrap: eagerStats(), parentShutdown: 4 });
  await eventually("the parent drains", () => /draining listeners/.test(parent.output));
  parent.child.kill("SIGSTOP");
  await eventually("the child's admin is silent", async () => {
    try {
      await rig.ask("/server_info");
      return false;
    } catch {
      return true;
    }
  });
  await parent.kill();
  const standIn = new StandInParent(rig.sockets, rig.place(0));
  closing.push(() => standIn.close());
  expect(standIn.freeChild()).toBe("sent");
  await eventually("the child's admin is back", () => rig.isLive(1));
  await eventually("Terminate", () => standIn.terminated);
  expect(await rig.isLive(1)).toBe(true);
  expect(child.end).toBeUndefined();
});

test("a stand-in child saves a parent that hung and goes on; with the flag repaired the same epoch starts", async () => {
  const parent = await rig.live(0);
  load = await Load.start(rig.load("new-connection"));
  await good(100);
  await load.stop();
  parent.child.kill("SIGSTOP");
  const child = rig.start(1);
  await attached();
  // What it asked in its last moment: whether the real one came to ask is chance.
  const [question] = encodeRequest({ ask: "stats" });
  expect(rig.sockets.sendTo(rig.socketFile("parent", 0), question ?? Buffer.alloc(0))).toBe("sent");
  await child.kill();
  const standIn = new StandInChild(rig.sockets, rig.place(1), { during: 60_000 });
  closing.push(() => standIn.close());
  parent.child.kill("SIGCONT");
  await eventually("the answer was taken", () => standIn.taken > 0);
  standIn.close();
  expect(rig.flag()).toBe(true);
  expect(repairFlag(rig.shm, "11.104")).toEqual({ is: "repaired" });
  const again = await rig.live(1, { parentShutdown: 1 });
  expect(await parent.exited).toBe("0");
  expect(again.end).toBeUndefined();
  expect(processState(again.child.pid ?? 0)).not.toBe("T");
});

test("a child that died while it initialized leaves the flag; repaired, the same epoch starts", async () => {
  const parent = await rig.live(0);
  load = await Load.start(rig.load("keep-alive", "new-connection", "http2"));
  await good(100);
  const child = rig.start(1, { bootstrap: neverLive() });
  await attached();
  await eventually("the child initializes", () => /initializing epoch 1/.test(child.output));
  await child.kill();
  const refused = rig.start(1);
  expect(await refused.exited).toBe("1");
  expect(refused.output).toMatch(/previous envoy process is still initializing/);
  expect(repairFlag(rig.shm, "11.104")).toEqual({ is: "repaired" });
  await rig.live(1, { parentShutdown: 1 });
  expect(await parent.exited).toBe("0");
  await good(100);
  const report = await load.stop();
  expect(report.failed, `${report.toString()} ${JSON.stringify(report.failures().slice(0, 3))}`).toBe(0);
});

test("an Envoy without its admin can be told to drain and to end", async () => {
  const parent = await rig.live(0);
  const place = rig.place(0);
  expect(await tellParent(rig.sockets, place, "shutdown-admin")).toBe("told");
  await expect(rig.ask("/server_info")).rejects.toThrow(/ECONNREFUSED/);
  load = await Load.start([{ kind: "new-connection", port: rig.http, clients: 1 }]);
  await good(10);
  expect(await tellParent(rig.sockets, place, "drain-listeners")).toBe("told");
  await eventually("its listeners are closed", async () => ((await load?.tally())?.count("refused") ?? 0) > 0);
  expect(parent.end).toBeUndefined();
  expect(await tellParent(rig.sockets, place, "terminate")).toBe("told");
  expect(await parent.exited).toBe("0");
  expect(await tellParent(rig.sockets, place, "terminate")).toBe("nobody");
});

test("the newest of two dies in the overlap: the next epoch adopts its sockets while the old one finishes", async () => {
  const kept = new KeptSockets(rig.sockets, noLog);
  closing.push(() => kept.close());
  const keep = async (epoch: number): Promise<void> => {
    const wanted = { addresses: await rig.addresses(), workers: 2 };
    expect(await kept.refresh(rig.place(epoch), wanted)).toMatchObject({ is: "kept", missing: [] });
  };
  const oldest = await rig.live(0);
  await keep(0);
  load = await Load.start(rig.load("keep-alive", "new-connection", "http2"));
  const middle = await rig.live(1, { parentShutdown: 30 });
  await keep(1);
  await good(100);
  await middle.kill();
  // The dead one's parent may owe it an answer.
  const child = new StandInChild(rig.sockets, rig.place(1), { during: 1_000 });
  const standIn = new StandInParent(rig.sockets, rig.place(1), { kept });
  closing.push(() => [child, standIn].map((one) => one.close()));
  const newest: EnvoyRun = await rig.live(2, { parentShutdown: 2 });
  expect(oldest.end).toBeUndefined();
  await child.done;
  await eventually("Terminate", () => standIn.terminated);
  expect(kept.dropUnclaimed(standIn.claimed)).toEqual([]);
  standIn.close();
  // Nobody tells the oldest any more: we do.
  expect(oldest.end).toBeUndefined();
  expect(await tellParent(rig.sockets, rig.place(0), "terminate")).toBe("told");
  expect(await oldest.exited).toBe("0");
  await good(100);
  const third = await rig.live(3, { parentShutdown: 1 });
  expect(await newest.exited).toBe("0");
  const report = await load.stop();
  expect(report.count("refused"), report.toString()).toBe(0);
  expect(report.failed, report.toString()).toBeLessThanOrEqual(12);
  expect(third.end).toBeUndefined();
});
