import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { noLog } from "../../src/foundation/log.ts";
import type { EnvoyAdmin } from "../../src/process/envoy-admin.ts";
import { EnvoySupervisor } from "../../src/process/envoy-supervisor.ts";
import { Lineages } from "../../src/process/hot-restart/lineages.ts";
import type { Launch } from "../../src/process/launch.ts";
import type { Outcome } from "../../src/process/lifecycle.ts";
import type { ExitReport, RunningProgram } from "../../src/system/programs.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { temporaryFolder } from "../helpers/paths.ts";

/** Lets every promise that can go on, go on. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

class FakeAdmin {
  state = "PRE_INITIALIZING";
  epoch = 0;
  silent = false;
  hotRestartVersion() {
    return this.#answer("disabled");
  }
  listeners() {
    return this.#answer("{}");
  }
  counts = { active: 0, inboundActive: 0, inboundTotal: 0 };
  readonly drains: unknown[] = [];
  #answer<T>(value: T): Promise<T> {
    return this.silent ? Promise.reject(new Error("Envoy's admin does not answer: timed out")) : Promise.resolve(value);
  }
  serverInfo() {
    return this.#answer({ state: this.state, epoch: this.epoch, version: "1.40.0", concurrency: 2 });
  }
  drainListeners(how: unknown) {
    this.drains.push(how);
    return this.#answer(undefined);
  }
  connections() {
    return this.#answer(this.counts);
  }
  inboundTotal() {
    return this.#answer(this.counts.inboundTotal);
  }
}

let clock: FakeClock;
let admin: FakeAdmin;
let signals: string[];
let exit: (report: ExitReport) => void;
let outcomes: Outcome[];
let bugs: unknown[];
let cannotStart: Error | undefined;
let supervisor: EnvoySupervisor;
let folder: ReturnType<typeof temporaryFolder>;

function note(what: string): "sent" {
  signals.push(what);
  return "sent";
}

beforeEach(() => {
  clock = new FakeClock();
  admin = new FakeAdmin();
  [signals, outcomes, bugs, cannotStart] = [[], [], [], undefined];
  const program: RunningProgram = {
    pid: 4711,
    signal: (name) => note(name),
    signalGroup: (name) => note(`group ${name}`),
    endGroup: () => note("end group"),
  };
  folder = temporaryFolder("supervisor");
  const first: Launch = {
    digest: "",
    hotRestartVersion: undefined,
    admin: { host: "127.0.0.1", port: 1 },
    parentShutdown: 15_000,
    start(_how, onExit) {
      if (cannotStart) throw cannotStart;
      exit = onExit;
      return program;
    },
    discard: () => undefined,
  };
  supervisor = new EnvoySupervisor({
    clock,
    log: noLog,
    first,
    prepare: () => Promise.resolve({ is: "unchanged" }),
    noAdmin: { host: "127.0.0.1", port: 1 },
    lineages: new Lineages({ log: noLog, directory: folder.path, baseId: undefined, chance: Math.random }),
    sockets: () => undefined,
    adminAt: () => admin as unknown as EnvoyAdmin,
    limits: {
      grace: 30_000,
      envoyDrain: 45_000,
      terminationDrain: 5_000,
      minDrain: 5_000,
      minimumDrain: 5_000,
      exitOnZeroConnections: false,
      killGrace: 5_000,
      parentShutdown: 15_000,
      liveWithin: 10_000,
      probation: 5_000,
      attempts: 3,
      retryAfter: 1_000,
    },
    roles: { own: new Set(), outbound: new Set() },
    countsConnections: true,
    inboundOnly: true,
    outOfMemory: () => false,
    chance: () => 0.5,
    onSwap: () => undefined,
    onChange: () => undefined,
    onExit: () => undefined,
    onRecord: () => undefined,
    onGone: (outcome) => outcomes.push(outcome),
    onBug: (error) => bugs.push(error),
  });
});

afterEach(() => {
  expect(bugs).toEqual([]);
  expect(clock.pending()).toBe(0);
  folder.done();
});

async function goLive(): Promise<void> {
  supervisor.start();
  admin.state = "LIVE";
  for (let i = 0; i < 5 && supervisor.snapshot().state !== "live"; i++) {
    clock.advance(50);
    await settle();
  }
  expect(supervisor.snapshot()).toMatchObject({ state: "live", epoch: 0, pid: 4711, reason: "" });
}

const stop = (): void => supervisor.post({ on: "stop", reason: "SIGTERM", drain: true });
const die = (report: ExitReport = { how: "exited", code: 0 }): void => exit(report);

describe("the driver", () => {
  test("start to live, and a stop with nobody there takes no time", async () => {
    await goLive();
    stop();
    await settle();
    expect(admin.drains).toEqual([{ inboundOnly: true, skipExit: false }]);
    expect(signals).toEqual(["SIGTERM"]);
    die();
    expect(signals).toEqual(["SIGTERM", "end group"]);
    expect(outcomes).toEqual([{ how: "stopped", reason: "SIGTERM", forced: false, exit: { how: "exited", code: 0 } }]);
    expect(supervisor.snapshot().state).toBe("stopped");
  });

  test("says what it waits for while Envoy initializes", async () => {
    supervisor.start();
    expect(supervisor.snapshot().reason).toContain("admin does not answer yet");
    clock.advance(50);
    await settle();
    expect(supervisor.snapshot().reason).toContain("first CDS answer");
    stop();
    expect(signals).toEqual(["SIGTERM"]);
    die();
  });

  test("another epoch's LIVE is not ours", async () => {
    admin.epoch = 3;
    admin.state = "LIVE";
    supervisor.start();
    clock.advance(1_000);
    await settle();
    expect(supervisor.snapshot().state).toBe("starting");
    die({ how: "exited", code: 1 });
    expect(outcomes).toMatchObject([{ how: "died", beforeLive: true }]);
  });

  test("a silent admin: the drain has its time, then SIGTERM, then SIGKILL to the group", async () => {
    await goLive();
    admin.silent = true;
    stop();
    for (let i = 0; i < 60 && signals.length === 0; i++) {
      clock.advance(100);
      await settle();
    }
    expect(signals).toEqual(["SIGTERM"]);
    clock.advance(5_000);
    expect(signals).toEqual(["SIGTERM", "group SIGKILL"]);
    die({ how: "killed", signal: "SIGKILL" });
    expect(outcomes).toMatchObject([{ how: "stopped", forced: true }]);
  });

  test("open connections are waited for, and the last one ends the drain", async () => {
    await goLive();
    admin.counts = { active: 2, inboundActive: 0, inboundTotal: 0 };
    stop();
    await settle();
    clock.advance(100);
    await settle();
    expect(signals).toEqual([]);
    admin.counts = { active: 0, inboundActive: 0, inboundTotal: 0 };
    clock.advance(100);
    await settle();
    expect(signals).toEqual(["SIGTERM"]);
    die();
  });

  test("the clock of an end that others see is that of the first drain, whatever comes after", async () => {
    await goLive();
    expect(supervisor.snapshot().ending).toBeUndefined();
    admin.counts = { active: 2, inboundActive: 1, inboundTotal: 1 };
    const from = clock.monotonic();
    supervisor.post({ on: "drain", reason: "POST /drain" });
    await settle();
    const seen = { active: 2, calledLately: true };
    expect(supervisor.snapshot()).toMatchObject({ state: "draining", ending: { from, asked: false, seen } });
    clock.advance(50);
    stop();
    expect(supervisor.snapshot()).toMatchObject({ state: "draining", ending: { from, asked: true, seen } });
    clock.advance(40);
    stop();
    expect(supervisor.snapshot()).toMatchObject({
      state: "stopping",
      since: from + 90,
      ending: { from, asked: true },
    });
    die();
    expect(supervisor.snapshot().ending).toBeUndefined();
  });

  test("a call within the last minute is remembered from the samples", async () => {
    await goLive();
    for (let seconds = 0; seconds < 120; seconds += 20) {
      clock.advance(20_000);
      await settle();
    }
    admin.counts = { active: 0, inboundActive: 0, inboundTotal: 1 };
    stop();
    await settle();
    expect(signals).toEqual([]);
    clock.advance(5_000);
    await settle();
    expect(signals).toEqual(["SIGTERM"]);
    die();
  });

  test("an Envoy that cannot be started is the end", () => {
    cannotStart = new Error("no such file");
    supervisor.start();
    expect(outcomes).toEqual([{ how: "not-started", epoch: 0, error: cannotStart }]);
  });
});
