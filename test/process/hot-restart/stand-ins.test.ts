import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { noLog } from "../../../src/foundation/log.ts";
import { KeptSockets } from "../../../src/process/hot-restart/kept-sockets.ts";
import { encodeRequest, type HotRestartRequest } from "../../../src/process/hot-restart/message.ts";
import { socketName } from "../../../src/process/hot-restart/names.ts";
import { StandInChild } from "../../../src/process/hot-restart/stand-in-child.ts";
import { type ChildAsked, StandInParent } from "../../../src/process/hot-restart/stand-in-parent.ts";
import { tellParent } from "../../../src/process/hot-restart/tell-parent.ts";
import { bytesField } from "../../../src/process/hot-restart/wire.ts";
import { FakeClock } from "../../fakes/fake-clock.ts";
import { FakeChild, FakeParent, lineage, placeOf } from "./fake-envoy.ts";
import { delivered, FakeSockets } from "./fake-sockets.ts";

const A = "tcp://127.0.0.1:80";
const ask = (what: Exclude<HotRestartRequest["ask"], "pass-listen-socket">): HotRestartRequest => ({ ask: what });
const pass = (address: string, worker: number, namespace = ""): HotRestartRequest => ({
  ask: "pass-listen-socket",
  address,
  worker,
  namespace,
});

let clock: FakeClock;
let sockets: FakeSockets;

beforeEach(() => {
  clock = new FakeClock();
  sockets = new FakeSockets();
});
afterEach(() => {
  expect([...sockets.open.values()]).toEqual([]);
  expect([...sockets.bound.keys()]).toEqual([]);
  expect(clock.pending()).toBe(0);
});

describe("standing in for a dead parent", () => {
  test("answers as Envoy does, in order, until Terminate", async () => {
    const asked: ChildAsked[] = [];
    let ends = 0;
    const parent = new StandInParent(sockets, placeOf(4, clock), {
      startedAtSeconds: 77,
      onAsked: (one) => asked.push(one),
      onTerminate: () => {
        ends += 1;
      },
    });
    const child = new FakeChild(sockets, placeOf(5, clock));
    for (const what of ["shutdown-admin", "stats", "test-connection", "drain-listeners", "stats"] as const)
      child.ask(ask(what));
    child.ask(pass(A, 0));
    await delivered();
    expect(child.answers).toEqual([
      { answer: "shutdown-admin", startedAtSeconds: 77, reusePortByDefault: true },
      { answer: "stats" },
      { answer: "stats" },
      { answer: "pass-listen-socket", descriptor: -1 },
    ]);
    expect(ends).toBe(0);
    child.ask(ask("terminate"));
    child.ask(ask("terminate"));
    await delivered();
    expect(asked.map(({ what }) => what)).toEqual([
      "shutdown-admin",
      "stats",
      "test-connection",
      "drain-listeners",
      "stats",
      "pass-listen-socket",
      "terminate",
      "terminate",
    ]);
    expect([ends, parent.terminated]).toEqual([1, true]);
    parent.close();
    parent.close();
    expect(sockets.files.has(socketName(lineage, "parent", 4))).toBe(false);
    child.die();
  });

  test("hands over the kept sockets and says which were claimed", async () => {
    const old = new FakeParent(sockets, placeOf(4, clock));
    old.listen(A, 2);
    const kept = new KeptSockets(sockets, noLog);
    await kept.refresh(placeOf(4, clock), { addresses: [A], workers: 2 });
    old.die();
    const asked: ChildAsked[] = [];
    const parent = new StandInParent(sockets, placeOf(4, clock), { kept, onAsked: (one) => asked.push(one) });
    const child = new FakeChild(sockets, placeOf(5, clock));
    child.ask(pass(A, 1));
    child.ask(pass(A, 2));
    child.ask(pass(A, 0, "/run/netns/other"));
    await delivered();
    expect(child.descriptors).toHaveLength(1);
    expect(sockets.identityOf(child.descriptors[0] ?? -1)).toBe(sockets.identityOf(kept.descriptorFor(A, 1) ?? -1));
    expect(parent.claimed).toEqual([{ address: A, worker: 1 }]);
    expect(asked.map((one) => one.what === "pass-listen-socket" && one.handedOver)).toEqual([true, false, false]);
    expect(kept.count).toBe(2);
    child.die();
    parent.close();
    kept.close();
  });

  test("says that it does not know a request of a later Envoy, and takes garbage calmly", async () => {
    const asked: ChildAsked[] = [];
    const parent = new StandInParent(sockets, placeOf(0, clock), { onAsked: (one) => asked.push(one) });
    const child = new FakeChild(sockets, placeOf(1, clock));
    const body = bytesField(1, bytesField(55, ""));
    child.say(Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, 0, body.length]), body]));
    child.say(Buffer.from("garbage of more than eight bytes"));
    child.say(Buffer.from("x"));
    child.ask(ask("stats"));
    await delivered();
    expect(child.answers).toEqual(["not-recognized", { answer: "stats" }]);
    expect(asked).toEqual([{ what: "unknown" }, { what: "stats" }]);
    child.die();
    parent.close();
  });

  test("frees a child that waits for a parent that is dead", async () => {
    const parent = new StandInParent(sockets, placeOf(4, clock));
    expect(parent.freeChild()).toBe("nobody");
    const child = new FakeChild(sockets, placeOf(5, clock));
    expect(parent.freeChild()).toBe("sent");
    await delivered();
    expect(child.answers).toEqual([{ answer: "stats" }]);
    child.die();
    parent.close();
    expect(sockets.files.has(socketName(lineage, "parent", 4))).toBe(true);
  });

  test("a parent that lives can't be stood in for", () => {
    const living = new FakeParent(sockets, placeOf(4, clock));
    expect(() => new StandInParent(sockets, placeOf(4, clock))).toThrow("another process holds it");
    living.die();
  });
});

describe("standing in for a dead child", () => {
  test("takes late answers with their descriptors, then ends by itself", async () => {
    const parent = new FakeParent(sockets, placeOf(4, clock));
    parent.listen(A, 1);
    parent.silent = true;
    const child = new FakeChild(sockets, placeOf(5, clock));
    child.ask(pass(A, 0));
    child.ask(ask("stats"));
    await delivered();
    child.die();
    const standIn = new StandInChild(sockets, placeOf(5, clock), { during: 1_000 });
    parent.wake();
    await delivered();
    expect(standIn.taken).toBe(2);
    clock.advance(1_000);
    expect(await standIn.done).toBe(2);
    standIn.close();
    parent.die();
  });
  test("can be ended early", async () => {
    const standIn = new StandInChild(sockets, placeOf(5, clock));
    standIn.close();
    expect(await standIn.done).toBe(0);
  });
});

describe("telling a parent what a child would tell it", () => {
  test.each(["drain-listeners", "terminate", "shutdown-admin"] as const)("%s", async (order) => {
    const parent = new FakeParent(sockets, placeOf(4, clock));
    expect(await tellParent(sockets, placeOf(4, clock), order)).toBe("told");
    await delivered();
    expect(parent.asked).toEqual([{ ask: order }]);
    parent.die();
    expect(await tellParent(sockets, placeOf(4, clock), order)).toBe("nobody");
  });
  test("a full queue is tried again, not for ever", async () => {
    const name = socketName(lineage, "parent", 4);
    const parent = new FakeParent(sockets, placeOf(4, clock));
    sockets.stuck.set(name, "full");
    const told = tellParent(sockets, placeOf(4, clock), "terminate", 100);
    await delivered();
    clock.advance(20);
    await delivered();
    sockets.stuck.clear();
    clock.advance(20);
    expect(await told).toBe("told");
    sockets.stuck.set(name, "full");
    const never = tellParent(sockets, placeOf(4, clock), "terminate", 100);
    for (let step = 0; step < 10; step++) {
      await delivered();
      clock.advance(20);
    }
    expect(await never).toBe("full");
    parent.die();
  });
  test("an admin that is not closed in time is said, and the late answer still has a receiver", async () => {
    const parent = new FakeParent(sockets, placeOf(4, clock));
    parent.silent = true;
    const told = tellParent(sockets, placeOf(4, clock), "shutdown-admin", 100);
    await delivered();
    clock.advance(100);
    expect(await told).toBe("no-answer");
    expect(sockets.bound.has(socketName(lineage, "child", 5))).toBe(true);
    parent.wake();
    await delivered();
    expect(sockets.bound.has(socketName(lineage, "child", 5))).toBe(false);
    parent.die();
  });
});

test("what is queued for a full receiver goes out in order, and is given up after a second", async () => {
  const parent = new StandInParent(sockets, placeOf(4, clock));
  const child = new FakeChild(sockets, placeOf(5, clock));
  sockets.stuck.set(socketName(lineage, "child", 5), "full");
  child.ask(ask("shutdown-admin"));
  child.ask(ask("stats"));
  await delivered();
  clock.advance(50);
  sockets.stuck.clear();
  clock.advance(5);
  await delivered();
  expect(child.answers).toMatchObject([{ answer: "shutdown-admin" }, { answer: "stats" }]);
  sockets.stuck.set(socketName(lineage, "child", 5), "full");
  child.ask(ask("stats"));
  await delivered();
  clock.advance(2_000);
  expect(clock.pending()).toBe(0);
  sockets.stuck.clear();
  expect(encodeRequest(ask("stats"))).toHaveLength(1);
  child.die();
  parent.close();
});
