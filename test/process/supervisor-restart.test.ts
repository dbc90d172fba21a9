import { existsSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { sharedMemoryPath } from "../../src/process/hot-restart/shared-memory.ts";
import type { Prepared, RestartOutcome } from "../../src/process/launch.ts";
import { FakeEnvoys, killed, settle, well } from "./fake-envoys.ts";

let envoys: FakeEnvoys;
beforeEach(() => {
  envoys = new FakeEnvoys();
});
afterEach(async () => {
  expect(await envoys.done()).toEqual([]);
});

/** What a promise has come to by now. */
function watch(promise: Promise<RestartOutcome>): () => RestartOutcome | undefined {
  let outcome: RestartOutcome | undefined;
  void promise.then((found) => {
    outcome = found;
  });
  return () => outcome;
}

const phase = (): string | undefined => envoys.supervisor.snapshot().phase;

/** The one before has ended in its time. */
async function parentEnds(): Promise<void> {
  await envoys.pass(15_000);
  envoys.all.find((one) => one.alive)?.exit(well);
  await settle();
}

describe("a restart that was asked for", () => {
  test("is answered when the child serves, and stands in the history", async () => {
    await envoys.start();
    const outcome = watch(envoys.restart());
    await settle();
    expect(envoys.newest.how).toMatchObject({ epoch: 1, hotRestart: { parentShutdown: 15_000 } });
    expect([phase(), outcome()]).toEqual(["initializing", undefined]);
    await envoys.goLive();
    expect(outcome()).toMatchObject({ is: "restarted", by: "hot-restart", epoch: 1 });
    expect(envoys.supervisor.snapshot()).toMatchObject({ phase: "overlap", epoch: 1, pid: 4_002 });
    await parentEnds();
    expect(envoys.supervisor.snapshot()).toMatchObject({
      phase: "live",
      history: [{ cause: "SIGHUP", by: "hot-restart", epoch: 1, outcome: "restarted" }],
    });
  });

  test("those that come meanwhile are one more at the end, answered together", async () => {
    await envoys.start();
    const first = watch(envoys.restart());
    await settle();
    const [second, third] = [watch(envoys.restart()), watch(envoys.restart({ cause: "POST", explicit: false }))];
    await envoys.goLive();
    envoys.prepare = () => ({ is: "refused", check: "memory", why: "too little" });
    expect([first()?.is, second()]).toEqual(["restarted", undefined]);
    await parentEnds();
    expect(envoys.asked).toMatchObject([{ cause: "SIGHUP" }, { cause: "SIGHUP, POST", explicit: true }]);
    expect([second(), third()]).toEqual([
      { is: "refused", why: "too little" },
      { is: "refused", why: "too little" },
    ]);
    expect(envoys.supervisor.snapshot().history?.at(-1)).toMatchObject({ outcome: "refused: too little", bad: true });
    expect(envoys.all).toHaveLength(2);
  });

  test("a stop answers all of them", async () => {
    await envoys.start();
    const first = watch(envoys.restart());
    await settle();
    const second = watch(envoys.restart());
    envoys.supervisor.post({ on: "stop", reason: "SIGTERM", drain: true });
    await settle();
    expect([first()?.is, second()?.is]).toEqual(["overtaken", "overtaken"]);
    expect(envoys.newest.signals).toEqual(["SIGKILL"]);
  });

  test("a preflight of an Envoy that is dead meanwhile starts nothing", async () => {
    await envoys.start();
    let finish: (found: Prepared) => void = () => undefined;
    envoys.prepare = () =>
      new Promise((resolve) => {
        finish = resolve;
      });
    const outcome = watch(envoys.restart());
    await settle();
    envoys.admin = undefined;
    envoys.newest.exit(killed);
    expect(envoys.all.map(({ how }) => how.epoch)).toEqual([0, 0]);
    finish(envoys.ready());
    await settle();
    expect(envoys.all).toHaveLength(2);
    // The wish stays, and is looked at with the one that serves now.
    envoys.prepare = () => ({ is: "unchanged" });
    await envoys.goLive();
    expect([envoys.asked.length, outcome()?.is]).toEqual([2, "unchanged"]);
  });
});

describe("what an Envoy is started with", () => {
  test("is thrown away once when nobody can need it any more, never before", async () => {
    await envoys.start();
    const outcome = watch(envoys.restart());
    for (let attempt = 0; attempt < 3; attempt++) {
      await settle();
      expect(envoys.newest.how.epoch).toBe(1);
      envoys.newest.exit({ how: "exited", code: 1 });
      await envoys.pass(5_000);
    }
    expect(outcome()?.is).toBe("failed");
    expect(envoys.launches.map((one) => one.discards)).toEqual([0, 1, 1, 0]);
    void envoys.restart();
    await settle();
    await envoys.goLive();
    // The one before stays as long as there is a way back to it.
    expect(envoys.launches.map((one) => one.discards)).toEqual([0, 1, 1, 1, 0]);
    await parentEnds();
    expect(envoys.launches.map((one) => one.discards)).toEqual([1, 1, 1, 1, 0]);
  });

  test("a crash of what was new goes back to what served before it", async () => {
    await envoys.start();
    void envoys.restart();
    await settle();
    await envoys.goLive();
    envoys.newest.exit({ how: "killed", signal: "SIGSEGV" });
    await settle();
    expect(envoys.newest).toMatchObject({ launch: { digest: "launch 0" }, how: { epoch: 1 } });
  });
});

describe("between two looks", () => {
  test("a child that took over and died had taken over: the next one starts over its parent at once", async () => {
    await envoys.start();
    const outcome = watch(envoys.restart());
    await settle();
    envoys.admin = undefined;
    envoys.flag(true);
    await envoys.pass(100, 20);
    envoys.flag(false);
    envoys.newest.exit(killed);
    await settle();
    expect(outcome()).toMatchObject({ is: "restarted", epoch: 1 });
    expect(envoys.all.map(({ how }) => how.epoch)).toEqual([0, 1, 1]);
    expect(phase()).toBe("initializing");
  });
  test("one that died before had not: its parent serves on", async () => {
    await envoys.start();
    const outcome = watch(envoys.restart());
    await settle();
    envoys.flag(true);
    await envoys.pass(100, 20);
    envoys.newest.exit(killed);
    await settle();
    expect([outcome(), envoys.supervisor.snapshot().phase]).toEqual([undefined, "live"]);
  });
});

test("the names of one that is started soon are kept, though the last one that had them dies", async () => {
  await envoys.start();
  const lineage = envoys.newest.how.hotRestart?.lineage ?? { prefix: "", baseId: 0 };
  void envoys.restart();
  await settle();
  await envoys.goLive();
  for (const _ of ["the new one", "the next one, too soon"]) {
    envoys.newest.exit(killed);
    await settle();
    if (phase() !== "waiting") await envoys.goLive();
  }
  expect(phase()).toBe("waiting");
  envoys.all[0]?.exit(killed);
  await settle();
  expect(existsSync(sharedMemoryPath(lineage))).toBe(true);
  await envoys.pass(1_000);
  expect(envoys.newest).toMatchObject({ alive: true, how: { hotRestart: { lineage } } });
});

test("a swap: another lineage with an admin of its own, on probation, then the old one ends", async () => {
  await envoys.start();
  envoys.prepare = () => envoys.ready("swap");
  const outcome = watch(envoys.restart({ strategy: "swap" }));
  await settle();
  expect(envoys.newest.how.epoch).toBe(0);
  expect(envoys.newest.how.adminPath).toContain(envoys.folder.path);
  expect(envoys.newest.how.hotRestart?.lineage).not.toEqual(envoys.all[0]?.how.hotRestart?.lineage);
  await envoys.goLive();
  expect([phase(), outcome()]).toEqual(["trial", undefined]);
  await envoys.pass(5_000);
  expect([phase(), outcome()?.is]).toEqual(["yielding", "restarted"]);
  await envoys.pass(1_000);
  expect(envoys.all[0]?.signals).toEqual(["SIGTERM"]);
  envoys.all[0]?.exit(well);
  expect(phase()).toBe("live");
  expect(envoys.supervisor.adminTarget()).toEqual({ socketPath: envoys.newest.how.adminPath });
});
