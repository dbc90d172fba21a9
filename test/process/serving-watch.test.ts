import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { noLog } from "../../src/foundation/log.ts";
import type { Process } from "../../src/process/envoy-processes.ts";
import type { Handover } from "../../src/process/hot-restart/handover.ts";
import type { EpochRecord, LifecycleState } from "../../src/process/lifecycle.ts";
import { ServingWatch } from "../../src/process/serving-watch.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { settle } from "./fake-envoys.ts";

const record = (run: number): EpochRecord => ({
  run,
  epoch: run - 1,
  lineage: 0,
  startedAt: 0,
  liveAt: 1,
  adminLost: false,
  cause: "start",
});
const current = record(1);
const state = (is: string, more: object = {}): LifecycleState =>
  ({ is, current, ...more }) as unknown as LifecycleState;

let clock: FakeClock;
let now: LifecycleState;
let silent: number[];
let kept: string[];
let freed: number;
let answers: boolean;
let listenersAsked: number;
/** What is waited for before the listeners are told. */
let pause: Promise<void> | undefined;
let timers: Map<string, () => void>;
let watch: ServingWatch;

const answer = <T>(value: T): Promise<T> =>
  answers ? Promise.resolve(value) : Promise.reject(new Error("does not answer"));
const admin = {
  serverInfo: () => answer({ state: "LIVE", epoch: 0, version: "", concurrency: 2 }),
  hotRestartVersion: () => answer("11.104"),
  async listeners() {
    listenersAsked += 1;
    await pause;
    const address = { socket_address: { address: "127.0.0.1", port_value: 80 } };
    return answer(JSON.stringify({ listener_statuses: [{ name: "a", local_address: address }] }));
  },
};

beforeEach(() => {
  clock = new FakeClock();
  [silent, kept, freed, answers, listenersAsked, pause, timers] = [[], [], 0, true, 0, undefined, new Map()];
  now = state("live", { retry: undefined });
  const handover = {
    version: undefined,
    keep: async (_of: unknown, addresses: readonly string[], workers: number) => {
      kept.push(`${addresses.join()} x${workers}`);
    },
    freeChild: () => {
      freed += 1;
    },
  };
  watch = new ServingWatch({
    clock,
    log: noLog,
    arm(name, after, fire) {
      timers.get(name)?.();
      timers.set(name, clock.after(after, fire));
    },
    state: () => now,
    process: () => ({ admin, hotRestart: true }) as unknown as Process,
    handover: handover as unknown as Handover,
    onWord: () => undefined,
    onConcurrency: () => undefined,
    onKept: () => undefined,
    onSilent: (run) => silent.push(run),
    background: (work) => void work,
  });
  watch.serves(current);
});
afterEach(() => {
  watch.close();
  for (const cancel of timers.values()) cancel();
  expect(clock.pending()).toBe(0);
});

async function pass(time: number): Promise<void> {
  for (let passed = 0; passed < time; passed += 100) {
    clock.advance(100);
    await settle();
  }
}

describe("silence", () => {
  test("of an admin counts after 20 s, however often it was asked", async () => {
    watch.entered();
    await pass(1_000);
    answers = false;
    await pass(18_000);
    expect(silent).toEqual([]);
    await pass(7_000);
    expect(silent).toEqual([1]);
  });
  test("one answer in between, and it counts anew", async () => {
    watch.entered();
    answers = false;
    await pass(18_000);
    answers = true;
    await pass(5_000);
    answers = false;
    await pass(15_000);
    expect(silent).toEqual([]);
  });
  test("in the overlap it counts after 6 s, and a child whose parent is dead is freed first", async () => {
    now = state("overlap", { parent: undefined });
    answers = false;
    watch.entered();
    await pass(4_000);
    expect([freed > 0, silent]).toEqual([true, []]);
    await pass(3_500);
    expect(silent).toEqual([1]);
    const before = freed;
    now = state("overlap", { parent: record(7) });
    await pass(4_000);
    expect(freed).toBe(before);
  });
  test("nobody listens for it while a child may hold the admin", async () => {
    watch.entered();
    answers = false;
    now = state("initializing", { child: record(2) });
    await pass(60_000);
    expect(silent).toEqual([]);
  });
});

describe("listen sockets", () => {
  test("are kept when it serves, soon after a change, and again after a while", async () => {
    watch.entered();
    await pass(100);
    expect(kept).toEqual(["tcp://127.0.0.1:80 x2"]);
    watch.listenersChanged();
    await pass(300);
    expect(kept).toHaveLength(2);
    await pass(31_000);
    expect(kept).toHaveLength(3);
  });
  test.each(["checking", "initializing", "cancelling", "mending", "trial", "draining", "stopping"])(
    "are not asked for in %s",
    async (is) => {
      now = state(is);
      watch.entered();
      watch.listenersChanged();
      await pass(40_000);
      expect([kept, listenersAsked]).toEqual([[], 0]);
    },
  );
  test("of a swapped-in one are kept while the old one ends; over a dead child the name to ask under is not free", async () => {
    now = state("yielding", { old: record(2) });
    watch.entered();
    await pass(40_000);
    expect(kept).toEqual([]);
    now = state("yielding", { old: { ...record(2), lineage: 1 } });
    watch.entered();
    await pass(100);
    expect(kept).toHaveLength(1);
  });
  test("a change while they are asked for is looked at right afterwards", async () => {
    let go: () => void = () => undefined;
    pause = new Promise((resolve) => {
      go = resolve;
    });
    watch.entered();
    await pass(10);
    watch.listenersChanged();
    await pass(1_000);
    expect(listenersAsked).toBe(1);
    go();
    await settle();
    await pass(100);
    expect(kept).toHaveLength(2);
  });
  test("are not asked for when a preflight begins while the admin is being read", async () => {
    let go: () => void = () => undefined;
    pause = new Promise((resolve) => {
      go = resolve;
    });
    watch.entered();
    await pass(100);
    expect(listenersAsked).toBe(1);
    now = state("checking");
    go();
    await settle();
    expect(kept).toEqual([]);
  });
  test("of one that has lost its admin can't be known", async () => {
    now = state("live", { current: { ...current, adminLost: true }, retry: undefined });
    watch.entered();
    await pass(40_000);
    expect(listenersAsked).toBe(0);
  });
});
