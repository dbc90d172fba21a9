import { setTimeout as pass } from "node:timers/promises";
import { expect, test } from "vitest";
import { alive } from "../helpers/alive.ts";
import { expectOnlyInFlight, FaultRun } from "../helpers/faults/fault-run.ts";
import { preciseNow } from "../helpers/load/load.ts";

/* The deaths of test/integration/hot-restart-{deaths,parents}.test.ts, again and again and at every moment. */

/** Offsets are what is tried here, in ms: no fact of ours marks the moments in between. */
const later = (ms: number): Promise<void> => pass(ms);

/** After this much service the next start after a crash waits for nothing. */
const GOOD_RUN = 5_500;

/** At the end of the overlap the old one may be gone already: its parent's time was over. */
function killIfThere(run: FaultRun, pid: number): number {
  return alive(pid) ? run.kill(pid) : preciseNow();
}

test.concurrent("a child killed at any moment of its start: before it serves nobody fails, then only what was in flight", async ({
  onTestFinished,
}) => {
  const run = await FaultRun.start({ workers: 2 });
  onTestFinished(() => run.done());
  const load = await run.load();
  const deaths: number[] = [];
  for (const offset of [0, 10, 20, 30, 40, 50, 60, 70, 80, 100, 130, 200]) {
    await run.untilAlone();
    const child = await run.holdChild();
    const story = run.story();
    process.kill(child, "SIGCONT");
    await later(offset);
    const died = run.kill(child);
    await run.gone(child);
    await story.says(/The old Envoy serves on|Envoy died.*keptSockets=[1-9]/);
    if (!/The old Envoy serves on/.test(story.text)) deaths.push(died);
    await story.says(/The new Envoy is alone|The old Envoy has ended/);
  }
  await run.nextRestartWorks();
  expectOnlyInFlight(await load.stop(), deaths);
  await run.end();
});

test.concurrent("a parent killed at any moment of its drain: nobody on the new one fails", async ({
  onTestFinished,
}) => {
  const run = await FaultRun.start();
  onTestFinished(() => run.done());
  const load = await run.load();
  const deaths: number[] = [];
  for (const offset of [0, 30, 300, 1_500, 4_000, 4_990, 5_500, 5_900]) {
    await run.untilAlone();
    const { old, newest } = await run.overlap();
    await later(offset);
    deaths.push(killIfThere(run, old.pid));
    expect(await run.untilAlone()).toMatchObject({ epoch: newest.epoch, pid: newest.pid });
  }
  await run.nextRestartWorks();
  expectOnlyInFlight(await load.stop(), deaths);
  await run.end();
});

test.concurrent("the newest killed at any moment of the overlap: 0 refused", async ({ onTestFinished }) => {
  const run = await FaultRun.start({ workers: 2 });
  onTestFinished(() => run.done());
  const load = await run.load();
  const deaths: number[] = [];
  for (const offset of [0, 30, 300, 1_500, 4_000, 4_990, 5_500, 5_900]) {
    await run.untilAlone();
    const { newest } = await run.overlap();
    await later(offset);
    const story = run.story();
    deaths.push(run.kill(newest.pid));
    await story.says(/Envoy died.*keptSockets=[1-9]/, /Envoy is live/);
  }
  await run.untilAlone();
  await run.nextRestartWorks();
  expectOnlyInFlight(await load.stop(), deaths);
  await run.end();
});

test.concurrent("20 deaths of the Envoy that serves, 10 s apart: 0 refused, only what was in flight, and no end", async ({
  onTestFinished,
}) => {
  const run = await FaultRun.start({ workers: 2 });
  onTestFinished(() => run.done());
  const load = await run.load();
  const deaths: number[] = [];
  for (let count = 0; count < 20; count++) {
    const { pid } = await run.untilAlone();
    deaths.push(run.kill(pid));
    await run.gone(pid);
    await run.ready();
    await later(10_000 - (preciseNow() - (deaths.at(-1) ?? 0)));
  }
  expectOnlyInFlight(await load.stop(), deaths);
  expect((await run.history()).filter(({ cause }) => cause === "crash")).toHaveLength(20);
  expect(run.proxy.output).not.toMatch(/after a while|not started again/);
  await run.end();
});

test.concurrent("a hot restart is asked for and Envoy is killed, in one moment and around it: 0 refused, the wish is kept", async ({
  onTestFinished,
}) => {
  const run = await FaultRun.start();
  onTestFinished(() => run.done());
  const load = await run.load();
  const deaths: number[] = [];
  for (const offset of [-40, -5, 0, 5, 20, 60, 120, 200]) {
    const { pid } = await run.untilAlone();
    const story = run.story();
    if (offset >= 0) run.proxy.signal("SIGHUP");
    await later(Math.max(0, offset));
    deaths.push(run.kill(pid));
    if (offset < 0) {
      await later(-offset);
      run.proxy.signal("SIGHUP");
    }
    await story.says(/The new Envoy serves; the old one drains/, /The new Envoy is alone/);
    expect((await run.history()).slice(0, 3)).toContainEqual(
      expect.objectContaining({ cause: "SIGHUP", outcome: "restarted", by: "hot-restart" }),
    );
  }
  expectOnlyInFlight(await load.stop(), deaths);
  await run.end();
});

test.concurrent("both killed, from the overlap's beginning to its end: 0 refused", async ({ onTestFinished }) => {
  const run = await FaultRun.start();
  onTestFinished(() => run.done());
  const load = await run.load();
  const deaths: number[] = [];
  for (const [offset, first] of [
    [0, "old"],
    [0, "newest"],
    [2_000, "old"],
    [5_000, "newest"],
    [5_990, "old"],
  ] as const) {
    await run.untilAlone();
    // Two crashes in a row, without good service in between, are told apart from a loop: the second one waits.
    await later(GOOD_RUN);
    const both = await run.overlap();
    await later(offset);
    const story = run.story();
    deaths.push(killIfThere(run, both[first].pid), killIfThere(run, both[first === "old" ? "newest" : "old"].pid));
    await story.says(/Envoy died.*keptSockets=[1-9]/, /Envoy is live/);
  }
  await run.untilAlone();
  await run.nextRestartWorks();
  expectOnlyInFlight(await load.stop(), deaths);
  await run.end();
});
