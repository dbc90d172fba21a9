import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { CLIENTS, expectOnlyInFlight, FaultRun } from "../helpers/faults/fault-run.ts";
import { letGoUntil } from "../helpers/faults/holding-envoy.ts";

/* Parents that die or hang, and deaths of both, each once: the new Envoy must not notice, and nobody is refused. Their time is spent waiting: side by side. */

test.concurrent("the parent killed in the drain: answered for, nobody on the new one fails, the next restart works", async ({
  onTestFinished,
}) => {
  const run = await FaultRun.start();
  onTestFinished(() => run.done());
  const load = await run.load();
  const { old, newest } = await run.overlap();
  const story = run.story();
  const died = run.kill(old.pid);
  await story.says(/The old Envoy died while it drained: we answer in its place/, /The new Envoy is alone/);
  expect(await run.untilAlone()).toMatchObject({ epoch: newest.epoch, pid: newest.pid });
  await run.nextRestartWorks();
  expectOnlyInFlight(await load.stop(), [died]);
  await run.end();
});

test.concurrent("the parent killed while its child is held before its exec, and while it initializes: 0 refused", async ({
  onTestFinished,
}) => {
  const run = await FaultRun.start();
  onTestFinished(() => run.done());
  const load = await run.load();
  const deaths: number[] = [];
  for (const moment of ["held", "attached"] as const) {
    const parent = await run.untilAlone();
    const child = await run.holdChild();
    if (moment !== "held") {
      letGoUntil(moment, child, run.baseId(parent.pid));
      run.kill(child, "SIGSTOP");
    }
    const story = run.story();
    deaths.push(run.kill(parent.pid));
    await story.says(
      /The new Envoy is given up.*its parent died/,
      /Envoy died.*SIGKILL.*keptSockets=[1-9]/,
      /Envoy is live/,
      /took over the listen sockets/,
      // The wish is not lost.
      /Hot restart begins.*cause=SIGHUP/,
      /The new Envoy serves; the old one drains/,
      /The new Envoy is alone/,
    );
  }
  expectOnlyInFlight(await load.stop(), deaths);
  await run.end();
});

test.concurrent("both killed in one moment, in the overlap and while the child initializes: 0 refused", async ({
  onTestFinished,
}) => {
  const run = await FaultRun.start();
  onTestFinished(() => run.done());
  const load = await run.load();
  const { old, newest } = await run.overlap();
  await run.kept();
  let story = run.story();
  const deaths = [run.kill(newest.pid)];
  run.kill(old.pid);
  await story.says(/Envoy died.*keptSockets=[1-9]/, /Envoy is live/);
  const parent = await run.untilAlone();
  const child = await run.holdChild();
  letGoUntil("attached", child, run.baseId(parent.pid));
  story = run.story();
  run.kill(child);
  deaths.push(run.kill(parent.pid));
  await story.says(
    /Envoy died.*keptSockets=[1-9]/,
    /Envoy is live/,
    /Hot restart begins.*cause=SIGHUP/,
    /The new Envoy serves; the old one drains/,
    /The new Envoy is alone/,
  );
  // The drained one and the new one had clients.
  expectOnlyInFlight(await load.stop(), deaths, 2 * CLIENTS);
  await run.end();
});

test.concurrent("a crash of what was new, in the overlap: what served before is started again, 0 refused", async ({
  onTestFinished,
}) => {
  const run = await FaultRun.start();
  onTestFinished(() => run.done());
  const load = await run.load();
  run.rewrite((bootstrap) => ({ ...bootstrap, stats_flush_interval: "7s" }));
  const { newest } = await run.overlap();
  const isNew = /"stats_flush_interval": ?"7s"/;
  expect(configurationOf(run, newest.pid)).toMatch(isNew);
  const story = run.story();
  const died = run.kill(newest.pid, "SIGSEGV");
  await story.says(/Envoy died.*SIGSEGV/, /Envoy is live/, /The old Envoy has ended/);
  const again = configurationOf(run, (await run.untilAlone()).pid);
  expect(again).not.toMatch(isNew);
  expect(again).toContain("static_resources");
  await run.nextRestartWorks();
  expectOnlyInFlight(await load.stop(), [died]);
  await run.end();
});

/** The bootstrap that an Envoy was started with. */
function configurationOf(run: FaultRun, pid: number): string {
  const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  return readFileSync(resolve(run.proxy.folder.path, words[words.indexOf("-c") + 1] ?? ""), "utf8");
}
