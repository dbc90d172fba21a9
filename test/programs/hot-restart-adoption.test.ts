import { afterEach, beforeEach, expect, test } from "vitest";
import { noLog } from "../../src/foundation/log.ts";
import { KeptSockets } from "../../src/process/hot-restart/kept-sockets.ts";
import { type ChildAsked, StandInParent } from "../../src/process/hot-restart/stand-in-parent.ts";
import { eventually } from "../helpers/eventually.ts";
import { Load } from "../helpers/load/load.ts";
import { type EnvoyRun, Rig } from "./hot-restart-rig.ts";

/** Kept sockets with a real Envoy: what it gives, and what a new one makes of them. */
let rig: Rig;
let kept: KeptSockets;
let load: Load | undefined;

beforeEach(async () => {
  rig = await Rig.make();
  await rig.echo();
  kept = new KeptSockets(rig.sockets, noLog);
  load = undefined;
});
afterEach(async () => {
  await load?.done();
  kept.close();
  await rig.done();
});

async function keep(epoch: number, workers = 2): Promise<void> {
  const outcome = await kept.refresh(rig.place(epoch), { addresses: await rig.addresses(), workers });
  expect(outcome).toMatchObject({ is: "kept", missing: [] });
}

/** Stands in for the dead epoch, starts the next one, lets go after Terminate. */
async function adopt(epoch: number): Promise<{ readonly run: EnvoyRun; readonly asked: ChildAsked[] }> {
  const asked: ChildAsked[] = [];
  const standIn = new StandInParent(rig.sockets, rig.place(epoch), { kept, onAsked: (one) => asked.push(one) });
  const run = await rig.live(epoch + 1, { parentShutdown: 2 });
  await eventually("Terminate", () => standIn.terminated);
  expect(kept.dropUnclaimed(standIn.claimed)).toEqual([]);
  standIn.close();
  return { run, asked };
}

test("asking changes nothing in Envoy, and gives one listening socket for each address and worker", async () => {
  const run = await rig.live(0);
  const before = await rig.ask("/server_info");
  await keep(0);
  expect(kept.keys().map(({ address, worker }) => `${address} ${worker}`)).toEqual([
    `tcp://127.0.0.1:${rig.http} 0`,
    `tcp://127.0.0.1:${rig.http} 1`,
    `tcp://[::1]:${rig.http6} 0`,
    `tcp://[::1]:${rig.http6} 1`,
    `tcp://127.0.0.1:${rig.tcp} 0`,
    `tcp://127.0.0.1:${rig.tcp} 1`,
  ]);
  expect(rig.flag()).toBe(false);
  expect(JSON.parse((await rig.ask("/server_info")).body)).toMatchObject({
    state: "LIVE",
    command_line_options: JSON.parse(before.body).command_line_options,
  });
  expect(await kept.refresh(rig.place(0), { addresses: ["tcp://127.0.0.1:1"], workers: 1 })).toMatchObject({
    missing: [{ address: "tcp://127.0.0.1:1", worker: 0 }],
  });
  expect(run.end).toBeUndefined();
});

test("killed three times under load: nobody is refused, only what was in flight is lost", async () => {
  let run = await rig.live(0);
  await keep(0);
  load = await Load.start(rig.load("keep-alive", "new-connection", "http2", "tcp"));
  for (let epoch = 0; epoch < 3; epoch++) {
    const before = (await load.tally()).ok;
    await eventually("load runs", async () => ((await load?.tally())?.ok ?? 0) > before + 200);
    await run.kill();
    const adopted = await adopt(epoch);
    run = adopted.run;
    const words = adopted.asked.map(({ what }) => what);
    expect(words[0]).toBe("shutdown-admin");
    expect(words.filter((one) => one === "pass-listen-socket")).toHaveLength(6);
    expect(adopted.asked.every((one) => one.what !== "pass-listen-socket" || one.handedOver)).toBe(true);
    expect(words.indexOf("drain-listeners")).toBeGreaterThan(words.lastIndexOf("pass-listen-socket"));
    expect(words.at(-1)).toBe("terminate");
  }
  const report = await load.stop();
  expect(report.count("refused"), report.toString()).toBe(0);
  expect(report.count("timed-out") + report.count("wrong-status") + report.count("other"), report.toString()).toBe(0);
  // At most what 14 clients had in flight at each of three kills.
  expect(report.failed).toBeLessThanOrEqual(3 * 14);
  expect(run.end).toBeUndefined();
});

test("a connection that is made while no Envoy is alive waits and is answered", async () => {
  const run = await rig.live(0);
  await keep(0);
  await run.kill();
  load = await Load.start([{ kind: "new-connection", port: rig.http, clients: 4, timeout: 20_000 }]);
  await eventually("four requests wait", async () => (await load?.tally())?.requests === 4);
  expect((await load.tally()).ok).toBe(0);
  await adopt(0);
  const report = await load.stop();
  expect([report.failed, report.ok >= 4], report.toString()).toEqual([0, true]);
});

test("the kept sockets stay the same over a hot restart, and serve after it", async () => {
  const first = await rig.live(0);
  await keep(0);
  const second = await rig.live(1);
  await first.exited;
  expect(await kept.refresh(rig.place(1), { addresses: await rig.addresses(), workers: 2 }, { again: true })).toEqual({
    is: "kept",
    added: [],
    dropped: [],
    missing: [],
  });
  load = await Load.start(rig.load("new-connection"));
  await second.kill();
  const { run } = await adopt(1);
  const report = await load.stop();
  expect(report.count("refused"), report.toString()).toBe(0);
  expect(run.end).toBeUndefined();
});

test("with fewer workers the sockets that nobody asked for are let go", async () => {
  const run = await rig.live(0);
  await keep(0);
  await run.kill();
  const standIn = new StandInParent(rig.sockets, rig.place(0), { kept });
  await rig.live(1, { concurrency: 1, parentShutdown: 1 });
  await eventually("Terminate", () => standIn.terminated);
  expect(kept.dropUnclaimed(standIn.claimed).map(({ worker }) => worker)).toEqual([1, 1, 1]);
  standIn.close();
  load = await Load.start([{ kind: "new-connection", port: rig.http, clients: 4, timeout: 3_000 }]);
  await eventually("200 good ones", async () => ((await load?.tally())?.ok ?? 0) > 200);
  expect((await load.stop()).failed).toBe(0);
});

test("an Envoy that is stopped (SIGSTOP) is an outcome in time, and lives on when it is let go", async () => {
  const run = await rig.live(0);
  const addresses = await rig.addresses();
  run.child.kill("SIGSTOP");
  const outcome = await kept.refresh(rig.place(0), { addresses, workers: 2 }, { perRequest: 300 });
  expect(outcome).toEqual({ is: "no-answer", waited: 300 });
  expect(kept.owed).toBe(true);
  run.child.kill("SIGCONT");
  await eventually("the late answer was taken", () => !kept.owed);
  expect(await kept.refresh(rig.place(0), { addresses, workers: 2 })).toMatchObject({ is: "kept" });
  expect(run.end).toBeUndefined();
});

test("nobody is there to ask", async () => {
  const run = await rig.live(0);
  await run.kill();
  expect(await kept.refresh(rig.place(0), { addresses: ["tcp://127.0.0.1:1"], workers: 1 })).toEqual({ is: "nobody" });
});
