import { expect, test } from "vitest";
import { expectOnlyInFlight, expectOnlyOlder, FaultRun } from "../helpers/faults/fault-run.ts";
import { holdMainThread } from "../helpers/faults/held-thread.ts";
import { preciseNow } from "../helpers/load/load.ts";

/* Envoys that hang: nobody waits for them for ever, and whoever is not on a hung one does not notice. Their time is spent waiting: side by side. */

test.concurrent("the parent hung in the drain: found, killed and answered for; its child is freed", async ({
  onTestFinished,
}) => {
  const run = await FaultRun.start();
  onTestFinished(() => run.done());
  const load = await run.load();
  const { old, newest } = await run.overlap();
  const story = run.story();
  run.kill(old.pid, "SIGSTOP");
  const hung = preciseNow();
  await story.saysLate(/The old Envoy hangs and is killed/, /we answer in its place/, /The new Envoy is alone/);
  expect(await run.untilAlone()).toMatchObject({ epoch: newest.epoch, pid: newest.pid });
  await run.nextRestartWorks();
  expectOnlyOlder(await load.stop(), hung);
  await run.end();
});

test.concurrent("a main thread that hangs while its workers serve: said, swapped, and the hung one ended after its time", async ({
  onTestFinished,
}) => {
  const run = await FaultRun.start({ args: ["--probation", "1s"] });
  onTestFinished(() => run.done());
  const load = await run.load();
  const { pid } = await run.untilAlone();
  const story = run.story();
  const held = await holdMainThread(pid);
  onTestFinished(() => held.release());
  await story.saysLate(/Envoy's admin is silent: another Envoy takes its place/);
  const before = await load.tally();
  expect(before.failures(), "its workers serve").toEqual([]);
  await story.says(/The new Envoy is on probation/, /The new Envoy has taken over.*cause=hung/);
  expect(await run.latest()).toMatchObject({ cause: "hung", outcome: "restarted", by: "swap" });
  // It may be killed while the hung one still ends what it has.
  await run.kept();
  const one = await run.who("live");
  expect(one.pid).not.toBe(pid);
  const died = run.kill(one.pid);
  await story.says(/Envoy died.*keptSockets=[1-9]/, /Envoy is live/, /The old Envoy has ended/);
  await run.gone(pid);
  await run.nextRestartWorks();
  expectOnlyInFlight(await load.stop(), [died, story.momentOf(/The old Envoy has ended/)]);
  await run.end();
});
