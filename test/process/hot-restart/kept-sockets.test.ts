import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { noLog } from "../../../src/foundation/log.ts";
import {
  KeptSockets,
  type RefreshOptions,
  type RefreshOutcome,
} from "../../../src/process/hot-restart/kept-sockets.ts";
import { addressesOf } from "../../../src/process/hot-restart/listen-addresses.ts";
import { socketName } from "../../../src/process/hot-restart/names.ts";
import { FakeClock } from "../../fakes/fake-clock.ts";
import { FakeParent, lineage, placeOf } from "./fake-envoy.ts";
import { delivered, FakeSockets } from "./fake-sockets.ts";

const [A, B] = ["tcp://127.0.0.1:80", "tcp://[::1]:81"];
const childName = socketName(lineage, "child", 4);

let clock: FakeClock;
let sockets: FakeSockets;
let envoy: FakeParent;
let kept: KeptSockets;

beforeEach(() => {
  clock = new FakeClock();
  sockets = new FakeSockets();
  envoy = new FakeParent(sockets, placeOf(3, clock));
  envoy.listen(A, 2);
  kept = new KeptSockets(sockets, noLog);
});
afterEach(() => {
  kept.close();
  envoy.die();
  expect([...sockets.open.values()]).toEqual([]);
  expect([...sockets.bound.keys()]).toEqual([]);
  expect(clock.pending()).toBe(0);
});

const refresh = (addresses: readonly string[], workers = 2, options?: RefreshOptions): Promise<RefreshOutcome> =>
  kept.refresh(placeOf(3, clock), { addresses, workers }, options);
const key = (address: string, worker: number) => ({ address, worker });

test("one socket for each address and worker, the same kernel object as Envoy's", async () => {
  envoy.listen(B, 2);
  expect(await refresh([A, B])).toEqual({
    is: "kept",
    added: [key(A, 0), key(A, 1), key(B, 0), key(B, 1)],
    dropped: [],
    missing: [],
  });
  expect(kept.count).toBe(4);
  for (const [name, theirs] of envoy.table) {
    const [address = "", worker] = name.split(" ");
    expect(sockets.identityOf(kept.descriptorFor(address, Number(worker)) ?? -1)).toBe(sockets.identityOf(theirs));
  }
  expect(kept.asking).toBe(false);
  expect(sockets.files.has(childName)).toBe(false);
});

test("a refresh asks only for new ones and drops removed ones", async () => {
  await refresh([A]);
  envoy.listen(B, 2);
  envoy.asked.length = 0;
  expect(await refresh([B, A])).toMatchObject({ is: "kept", added: [key(B, 0), key(B, 1)], dropped: [] });
  expect(envoy.asked).toHaveLength(2);
  expect(await refresh([B])).toMatchObject({ is: "kept", added: [], dropped: [key(A, 0), key(A, 1)] });
  expect(await refresh([B], 1)).toMatchObject({ dropped: [key(B, 1)] });
  expect(envoy.asked).toHaveLength(2);
});

test("what Envoy does not have, or what is no listening socket, is missing and not kept", async () => {
  envoy.listen(B, 1, false);
  expect(await refresh([A, B], 1)).toMatchObject({ added: [key(A, 0)], missing: [key(B, 0)] });
  expect(await refresh(["tcp://10.0.0.1:1"], 1)).toMatchObject({ added: [], missing: [key("tcp://10.0.0.1:1", 0)] });
});

test("what is missing is asked for once, one worker for all, until it is asked again", async () => {
  const unbound = Array.from({ length: 50 }, (_, index) => `tcp://10.0.0.${index}:80`);
  const first = await refresh([A, ...unbound]);
  expect(first).toMatchObject({ is: "kept", added: [key(A, 0), key(A, 1)] });
  expect(first.is === "kept" && first.missing.length).toBe(100);
  expect(envoy.asked).toHaveLength(52);
  const second = await refresh([A, ...unbound.slice(1)]);
  expect(second.is === "kept" && second.missing.length).toBe(98);
  expect(envoy.asked).toHaveLength(52);
  envoy.listen("tcp://10.0.0.0:80", 2);
  envoy.listen("tcp://10.0.0.1:80", 2);
  expect(await refresh([A, ...unbound])).toMatchObject({ added: [key("tcp://10.0.0.0:80", 0), { worker: 1 }] });
  const again = await refresh([A, ...unbound], 2, { again: true });
  expect(again).toMatchObject({ added: [key("tcp://10.0.0.1:80", 0), { worker: 1 }] });
});

test("asked again, what Envoy has no more is let go; fewer workers than thought keep what they have", async () => {
  envoy.listen(B, 1);
  expect(await refresh([A, B])).toMatchObject({ missing: [key(B, 1)] });
  expect(kept.count).toBe(3);
  envoy.unlisten(A);
  expect(await refresh([A, B], 2, { again: true })).toMatchObject({
    added: [],
    missing: [key(A, 0), key(A, 1), key(B, 1)],
  });
  expect(kept.keys()).toEqual([key(B, 0)]);
});

test("asked again, a listener that came back has its new socket", async () => {
  await refresh([A]);
  const old = sockets.identityOf(kept.descriptorFor(A, 0) ?? -1);
  envoy.unlisten(A);
  envoy.listen(A, 2);
  expect(await refresh([A], 2, { again: true })).toMatchObject({ added: [key(A, 0), key(A, 1)] });
  expect(sockets.identityOf(kept.descriptorFor(A, 0) ?? -1)).not.toBe(old);
  expect(await refresh([A], 2, { again: true })).toMatchObject({ added: [] });
});

describe("an Envoy that does not answer", () => {
  test("is an outcome after the time of one request, and its late answer is taken", async () => {
    envoy.silent = true;
    const result = refresh([A], 2, { perRequest: 500 });
    await delivered();
    expect(kept.asking).toBe(true);
    clock.advance(500);
    expect(await result).toEqual({ is: "no-answer", waited: 500 });
    expect(kept.owed).toBe(true);
    expect(await refresh([A])).toEqual({ is: "no-answer", waited: 0 });
    envoy.wake();
    await delivered();
    expect(kept.owed).toBe(false);
    expect(kept.count).toBe(0);
    expect(await refresh([A])).toMatchObject({ is: "kept", added: [key(A, 0), key(A, 1)] });
  });
  test("keeps what was kept, and gives the name back when it is dead", async () => {
    await refresh([A]);
    envoy.listen(B, 2);
    envoy.silent = true;
    const result = refresh([A, B]);
    await delivered();
    clock.advance(2_000);
    expect(await result).toEqual({ is: "no-answer", waited: 2_000 });
    expect(kept.count).toBe(2);
    expect(sockets.bound.has(childName)).toBe(true);
    kept.forgetDebt();
    expect(sockets.bound.has(childName)).toBe(false);
  });
});

test("nobody there, no right, and a taken name are outcomes", async () => {
  expect(await kept.refresh(placeOf(5, clock), { addresses: [A], workers: 1 })).toEqual({ is: "nobody" });
  sockets.stuck.set(socketName(lineage, "parent", 3), "forbidden");
  expect(await refresh([A])).toMatchObject({ is: "refused" });
  sockets.stuck.clear();
  const taken = sockets.bind(childName, { clock, onDatagram: () => undefined, onError: () => undefined });
  expect(await refresh([A])).toMatchObject({ is: "refused", why: expect.stringContaining("another process") });
  taken.close();
});

test("an Envoy with no room is tried again for a while", async () => {
  sockets.stuck.set(socketName(lineage, "parent", 3), "full");
  const result = refresh([A], 1);
  await delivered();
  clock.advance(20);
  sockets.stuck.clear();
  clock.advance(10);
  expect(await result).toMatchObject({ is: "kept", added: [key(A, 0)] });
});

test("dropping while asking keeps nothing", async () => {
  envoy.silent = true;
  const result = refresh([A]);
  await delivered();
  kept.drop();
  envoy.wake();
  expect(await result).toEqual({ is: "dropped" });
  expect(kept.count).toBe(0);
  expect(kept.asking).toBe(false);
});

test("refreshes wait for each other", async () => {
  envoy.listen(B, 2);
  const results = await Promise.all([refresh([A]), refresh([A, B]), refresh([B])]);
  expect(results.map((one) => (one.is === "kept" ? [one.added.length, one.dropped.length] : one))).toEqual([
    [2, 0],
    [2, 0],
    [0, 2],
  ]);
  await kept.settled();
  expect(kept.asking).toBe(false);
});

test("after an adoption only what was claimed stays", async () => {
  envoy.listen(B, 2);
  await refresh([A, B]);
  expect(kept.dropUnclaimed([key(A, 0), key(A, 1), key(B, 0)])).toEqual([key(B, 1)]);
  expect(kept.keys()).toEqual([key(A, 0), key(A, 1), key(B, 0)]);
});

describe("addresses of /listeners", () => {
  const status = (address: object, more: readonly object[] = []): object => ({
    name: "x",
    local_address: address,
    additional_local_addresses: more,
  });
  const ip = (address: string, port: number, more: object = {}): object => ({
    socket_address: { address, port_value: port, ...more },
  });
  test("IPv4, IPv6 and further ones, each once; nothing that is no TCP socket of this namespace", () => {
    const listeners = [
      status(ip("0.0.0.0", 15006), [ip("::", 15006), ip("127.0.0.1", 15007)]),
      status(ip("::ffff:10.0.0.1", 80)),
      status(ip("0.0.0.0", 15006)),
      status(ip("127.0.0.1", 53, { protocol: "UDP" })),
      status(ip("127.0.0.1", 54, { network_namespace_filepath: "/run/netns/x" })),
      status({ pipe: { path: "/run/x" } }),
      status({ envoy_internal_address: { server_listener_name: "connect" } }),
      {},
    ];
    expect(addressesOf(JSON.stringify({ listener_statuses: listeners }))).toEqual([
      "tcp://0.0.0.0:15006",
      "tcp://[::]:15006",
      "tcp://127.0.0.1:15007",
      "tcp://[::ffff:10.0.0.1]:80",
    ]);
  });
  test("none", () => {
    expect(addressesOf("{}")).toEqual([]);
    expect(() => addressesOf("no JSON")).toThrow();
  });
});
