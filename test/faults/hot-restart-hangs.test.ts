import { expect, test } from "vitest";
import { expectNoneFailed, expectOnlyOlder, FaultRun } from "../helpers/faults/fault-run.ts";
import { letGoUntil } from "../helpers/faults/holding-envoy.ts";
import { preciseNow } from "../helpers/load/load.ts";

/* The long hangs: what is given twenty seconds before it is given up. */

test.concurrent("a child that hangs, before it attached and after it: given up, the next one is good, nobody fails", async ({
  onTestFinished,
}) => {
  const run = await FaultRun.start();
  onTestFinished(() => run.done());
  const load = await run.load();
  for (const moment of ["exec", "attached"] as const) {
    const { pid, epoch } = await run.untilAlone();
    const child = await run.holdChild();
    const story = run.story();
    letGoUntil(moment, child, run.baseId(pid));
    run.kill(child, "SIGSTOP");
    await story.saysLate(
      /The new Envoy is given up.*it was not live within 20 s/,
      /The old Envoy serves on/,
      /The restart is tried again/,
      /The new Envoy serves; the old one drains/,
      /The new Envoy is alone/,
    );
    expect(await run.untilAlone()).toMatchObject({ epoch: epoch + 1 });
  }
  expectNoneFailed(await load.stop());
  await run.end();
});

test.concurrent("an Envoy that hangs as a whole while it serves: said, swapped, killed, and whoever comes then is answered", async ({
  onTestFinished,
}) => {
  const run = await FaultRun.start({ args: ["--probation", "1s"] });
  onTestFinished(() => run.done());
  const { pid } = await run.untilAlone();
  const story = run.story();
  run.kill(pid, "SIGSTOP");
  await story.saysLate(
    /admin is silent: another Envoy takes its place/,
    /has taken over.*cause=hung/,
    /The old Envoy has ended/,
  );
  await run.gone(pid);
  expect(await run.latest()).toMatchObject({ cause: "hung", outcome: "restarted", by: "swap" });
  const load = await run.load();
  await run.kept();
  await run.nextRestartWorks();
  expectNoneFailed(await load.stop());
  await run.end();
});

test.concurrent("the parent hangs at any moment of its drain: its child is freed, nobody on the new one fails", async ({
  onTestFinished,
}) => {
  const run = await FaultRun.start();
  onTestFinished(() => run.done());
  for (const offset of [0, 2_000, 4_900, 5_500]) {
    const load = await run.load();
    const { old, newest } = await run.overlap();
    await new Promise((resolve) => setTimeout(resolve, offset));
    run.kill(old.pid, "SIGSTOP");
    const hung = preciseNow();
    expect(await run.untilAlone(60_000)).toMatchObject({ epoch: newest.epoch, pid: newest.pid });
    expectOnlyOlder(await load.stop(), hung);
    await load.done();
  }
  await run.nextRestartWorks();
  await run.end();
});
