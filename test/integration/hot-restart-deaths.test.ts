import { expect, test } from "vitest";
import { expectNoneFailed, expectOnlyInFlight, FaultRun } from "../helpers/faults/fault-run.ts";
import { letGoUntil } from "../helpers/faults/holding-envoy.ts";

/* Deaths around a hot restart, each once: who is killed when, who fails by it, and that the next restart works. Their time is spent waiting: side by side. */

test.concurrent("a child killed before it attached, the next one after it: nobody fails, the third is good", async ({
  onTestFinished,
}) => {
  const run = await FaultRun.start();
  onTestFinished(() => run.done());
  const load = await run.load();
  const { epoch, pid } = await run.untilAlone();
  const story = run.story();
  for (const moment of ["exec", "attached"] as const) {
    const child = moment === "exec" ? await run.holdChild() : await run.holder.held();
    // The one that is tried next is held too.
    if (moment === "exec") run.holder.hold();
    letGoUntil(moment, child, run.baseId(pid));
    run.kill(child);
    await run.gone(child);
  }
  const again = [/The old Envoy serves on.*ended before it was live \(SIGKILL\)/, /The restart is tried again/];
  await story.says(/Hot restart begins/, ...again, ...again, /The new Envoy serves.*drains/, /The new Envoy is alone/);
  expect(await run.untilAlone()).toMatchObject({ epoch: epoch + 1 });
  expect(await run.latest()).toMatchObject({ cause: "SIGHUP", outcome: "restarted", by: "hot-restart" });
  expectNoneFailed(await load.stop());
  await run.end();
});

test.concurrent("a child killed when its workers start, right before or after it took over: 0 refused", async ({
  onTestFinished,
}) => {
  const run = await FaultRun.start();
  onTestFinished(() => run.done());
  const load = await run.load();
  const { pid } = await run.untilAlone();
  const child = await run.holdChild();
  const story = run.story();
  letGoUntil("workers", child, run.baseId(pid));
  const died = run.kill(child);
  await story.says(
    /The old Envoy serves on|Envoy died.*keptSockets=[1-9]/,
    /The new Envoy is alone|The old Envoy has ended/,
  );
  await run.nextRestartWorks();
  expectOnlyInFlight(await load.stop(), [died]);
  await run.end();
});

test.concurrent("the newest killed in the overlap, by a stranger: 0 refused, the old one ends what it has", async ({
  onTestFinished,
}) => {
  const run = await FaultRun.start();
  onTestFinished(() => run.done());
  const load = await run.load();
  const { old, newest } = await run.overlap();
  const story = run.story();
  const died = run.kill(newest.pid);
  await story.says(/Envoy died.*SIGKILL/, /Envoy is live epoch=2/, /took over the listen sockets/);
  expect(await run.who("draining")).toMatchObject({ epoch: old.epoch, pid: old.pid });
  await story.says(/The old Envoy has ended/);
  await run.nextRestartWorks();
  expectOnlyInFlight(await load.stop(), [died]);
  await run.end();
});

test.concurrent("three deaths of the Envoy that serves: 0 refused, only what was in flight", async ({
  onTestFinished,
}) => {
  const run = await FaultRun.start({ workers: 2 });
  onTestFinished(() => run.done());
  const load = await run.load();
  const deaths: number[] = [];
  for (const epoch of [0, 1, 2]) {
    await run.kept();
    const one = await run.untilAlone();
    expect(one.epoch).toBe(epoch);
    const story = run.story();
    deaths.push(run.kill(one.pid));
    await story.says(/Envoy died.*SIGKILL/, /took over the listen sockets/, /The new Envoy is alone/);
  }
  expectOnlyInFlight(await load.stop(), deaths);
  expect((await run.history()).filter(({ cause, by }) => cause === "crash" && by === "crash-restart")).toHaveLength(3);
  await run.end();
});
