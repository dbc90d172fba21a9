import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Unavailable } from "../../../src/foundation/errors.ts";
import { noLog } from "../../../src/foundation/log.ts";
import { Handover } from "../../../src/process/hot-restart/handover.ts";
import { Lineages } from "../../../src/process/hot-restart/lineages.ts";
import type { Place } from "../../../src/process/hot-restart/names.ts";
import { sharedMemoryPath } from "../../../src/process/hot-restart/shared-memory.ts";
import { FakeClock } from "../../fakes/fake-clock.ts";
import { temporaryFolder } from "../../helpers/paths.ts";
import { FakeChild, FakeParent } from "./fake-envoy.ts";
import { delivered, FakeSockets } from "./fake-sockets.ts";

const A = "tcp://127.0.0.1:80";
let folder: ReturnType<typeof temporaryFolder>;
let clock: FakeClock;
let sockets: FakeSockets;
let lineages: Lineages;
let handover: Handover;
let native: boolean;

/** Shared memory of the first lineage as Envoy has it, where Handover looks for it. */
const memory = (): string => sharedMemoryPath({ baseId: lineages.of(0)?.baseId ?? -1 });
function shared(flag: bigint): void {
  const bytes = Buffer.alloc(104);
  bytes.writeBigUInt64LE(104n, 0);
  bytes.writeBigUInt64LE(11n, 8);
  bytes.writeBigUInt64LE(flag, 96);
  writeFileSync(memory(), bytes);
}
const flag = (): bigint => readFileSync(memory()).readBigUInt64LE(96);

function place(epoch: number): Place {
  const found = lineages.of(0);
  if (found === undefined) throw new Error("hot restart is off");
  return { ...found, epoch, clock, log: noLog };
}
const of = (epoch: number) => ({ lineage: 0, epoch });

beforeEach(() => {
  folder = temporaryFolder("handover");
  mkdirSync(join(folder.path, "shm"));
  [clock, sockets, native] = [new FakeClock(), new FakeSockets(), true];
  lineages = new Lineages({ log: noLog, directory: folder.path, baseId: undefined, chance: Math.random });
  lineages.open();
  handover = new Handover({ clock, log: noLog, lineages, sockets: () => (native ? sockets : undefined) });
  handover.version = "11.104";
  shared(0n);
});
afterEach(() => {
  handover.close();
  lineages.remove();
  expect([...sockets.open.values()]).toEqual([]);
  expect([...sockets.bound.keys()]).toEqual([]);
  expect(clock.pending()).toBe(0);
  folder.done();
});

/** Envoy 0 serves on two sockets, which are kept. */
async function kept(): Promise<FakeParent> {
  const parent = new FakeParent(sockets, place(0));
  parent.listen(A, 2);
  await handover.keep(of(0), [A], 2);
  expect(handover.keptOf(of(0))).toBe(2);
  return parent;
}

describe("kept sockets", () => {
  test("are handed to the next epoch, which asks us as its parent", async () => {
    (await kept()).die();
    let terminated = 0;
    handover.adopt(of(1), () => {
      terminated += 1;
    });
    const child = new FakeChild(sockets, place(1));
    for (const worker of [0, 1]) child.ask({ ask: "pass-listen-socket", address: A, worker, namespace: "" });
    await delivered();
    expect(child.descriptors).toHaveLength(2);
    child.ask({ ask: "terminate" });
    await delivered();
    expect([terminated, handover.keptCount]).toEqual([1, 2]);
    child.die();
    handover.endStandIn();
  });
  test("that nobody claims are let go: callers would hang on them", async () => {
    (await kept()).die();
    handover.adopt(of(1), () => undefined);
    const child = new FakeChild(sockets, place(1));
    child.ask({ ask: "pass-listen-socket", address: A, worker: 0, namespace: "" });
    child.ask({ ask: "terminate" });
    await delivered();
    expect(handover.keptCount).toBe(1);
    child.die();
  });
  test("are of one lineage, and count only with the version that we know", async () => {
    const parent = await kept();
    expect(handover.keptOf({ lineage: 1, epoch: 0 })).toBe(0);
    handover.version = "12.1";
    expect(handover.keptOf(of(0))).toBe(0);
    handover.drop();
    parent.die();
  });
  test("are not asked for without the native calls", async () => {
    native = false;
    await handover.keep(of(0), [A], 2).catch(() => undefined);
    expect(handover.keptCount).toBe(0);
    expect(() => handover.adopt(of(1), () => undefined)).toThrow(Unavailable);
  });
  test("an answer that is owed stands in the way of a child, until it has come", async () => {
    const parent = new FakeParent(sockets, place(0));
    parent.listen(A, 1);
    parent.silent = true;
    const asking = handover.keep(of(0), [A], 1);
    await delivered();
    expect(() => handover.beforeChild(of(1))).toThrow("has not answered");
    clock.advance(60_000);
    await asking;
    await delivered();
    expect(await handover.quiet()).toContain("has not answered");
    parent.wake();
    await delivered();
    clock.advance(60_000);
    await delivered();
    expect(await handover.quiet()).toBeUndefined();
    handover.beforeChild(of(1));
    parent.die();
    handover.drop();
  });
});

describe("the flag of a dead child", () => {
  test("is cleared before the next one, and when it is mended", async () => {
    shared(1n);
    handover.beforeChild(of(1));
    expect(flag()).toBe(0n);
    shared(3n);
    const mending = handover.mend(of(1));
    clock.advance(60_000);
    expect([await mending, flag()]).toEqual([undefined, 2n]);
  });
  test("of another version can't be: said, and nothing is started over it", async () => {
    handover.version = "12.1";
    shared(1n);
    expect(await handover.mend(of(1))).toContain("12.1");
    expect(() => handover.beforeChild(of(1))).toThrow(Unavailable);
    expect(flag()).toBe(1n);
  });
  test("is not there: no child can start", () => {
    lineages.remove();
    expect(existsSync(memory())).toBe(false);
    expect(() => handover.beforeChild(of(1))).toThrow("shared memory of this lineage is gone");
  });
});

describe("standing in", () => {
  test("for a dead parent: its child is answered, and ends us", async () => {
    let terminated = 0;
    expect(
      handover.standIn(of(0), () => {
        terminated += 1;
      }),
    ).toBe(true);
    const child = new FakeChild(sockets, place(1));
    child.ask({ ask: "stats" });
    child.ask({ ask: "terminate" });
    await delivered();
    expect([child.answers, terminated]).toEqual([[{ answer: "stats" }], 1]);
    child.die();
  });
  test("frees a child whose question was lost", async () => {
    handover.standIn(of(0), () => undefined);
    const child = new FakeChild(sockets, place(1));
    handover.freeChild();
    await delivered();
    expect(child.answers).toEqual([{ answer: "stats" }]);
    child.die();
  });
  test("is not possible with another version, or without the native calls", () => {
    handover.version = "12.1";
    expect(handover.standIn(of(0), () => undefined)).toBe(false);
    const without = new Handover({ clock, log: noLog, lineages, sockets: () => undefined });
    without.version = "11.104";
    expect(without.standIn(of(0), () => undefined)).toBe(false);
  });
  test("a second one takes the place of the first, and the names are free for a child", () => {
    handover.standIn(of(0), () => undefined);
    handover.standIn(of(1), () => undefined);
    handover.beforeChild(of(2));
    expect(sockets.bound.size).toBe(0);
  });
});

test("an Envoy without an admin is told over its own socket", async () => {
  const parent = new FakeParent(sockets, place(0));
  expect(await handover.tell(of(0), "drain-listeners")).toBe("told");
  await delivered();
  expect(parent.asked).toEqual([{ ask: "drain-listeners" }]);
  parent.die();
});
