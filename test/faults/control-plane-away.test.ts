import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Faults } from "../../src/control-plane/faults.ts";
import { load, mtls, type Whole, whole } from "../control-plane/whole.ts";
import { eventually } from "../helpers/eventually.ts";

/* The control plane is taken away at every stage: what Envoy serves goes on, readiness tells the truth, everything
   recovers by itself, and nothing is left over: streams, descriptors, timers and handles are counted. */

let w: Whole;
beforeEach(async () => {
  w = await whole();
});
afterEach(() => w.done());

const away: Faults = { refuse: { calls: "all", code: 14, text: "away" } };

const ready = async (): Promise<boolean> => (await w.ready()).status === 200;
const notReady = (says: RegExp) => async (): Promise<boolean> => {
  const { status, body } = await w.ready();
  return status === 503 && says.test(body);
};

describe("the control plane is away", () => {
  test("before the start", async () => {
    w.world.plane.setFaults(away);
    w.start();
    await eventually("the reason", notReady(/away/));
    w.world.plane.setFaults({});
    await eventually("ready", ready, 60_000);
  });

  test.each([
    ["during the signing request", { hang: "ca" }, /certificate/],
    ["between certificate and configuration", { hang: "ads" }, /cds|clusters|Envoy/],
    ["while everything is slow", { delay: 2_000 }, /./],
  ] as const)("%s", async (_title, faults, says) => {
    w.world.plane.setFaults(faults);
    w.start();
    await eventually("the reason", notReady(says), 30_000);
    w.world.plane.setFaults({});
    w.world.plane.disconnectAll();
    await eventually("ready", ready, 60_000);
  });

  test("after ready, ten times: Envoy serves on, we stay ready, nothing leaks", async () => {
    w.start();
    await eventually("ready", ready);
    const client = await w.client();
    await client.stop();
    const before = await w.held();
    expect(before).toMatchObject({ discoveryStreams: 1 });
    for (let n = 0; n < 10; n++) {
      w.world.plane.setFaults(away);
      w.world.plane.disconnectAll();
      expect((await mtls(w.ports.listener, client)).status).toBe(200);
      expect(await ready()).toBe(true);
      w.world.plane.setFaults({});
      await w.settled(before);
    }
  });

  test("flapping each second for half a minute, under load", async () => {
    w.start();
    await eventually("ready", ready);
    const client = await w.client();
    await client.stop();
    const before = await w.held();
    let flaps = 0;
    const flap = setInterval(() => {
      flaps += 1;
      w.world.plane.setFaults(flaps % 2 === 0 ? {} : away);
      w.world.plane.disconnectAll();
    }, 1_000);
    const until = performance.now() + 30_000;
    const { sent, failures } = await load(w.ports.listener, client, () => performance.now() > until);
    clearInterval(flap);
    w.world.plane.setFaults({});
    expect(failures).toEqual([]);
    expect(sent).toBeGreaterThan(100);
    expect(flaps).toBeGreaterThan(20);
    await w.settled(before);
  });

  test("across a renewal until expiry: it serves as long as it may, then it is said, then all is well", async () => {
    w.world.plane.setFaults({ lifetime: 15_000 });
    w.start();
    await eventually("ready", ready);
    const before = await w.held();
    w.world.plane.setFaults({ ...away, lifetime: 15_000 });
    w.world.plane.disconnectAll();
    await eventually("expired and said", notReady(/certificate expired at 20/), 40_000);
    w.world.plane.setFaults({});
    await w.settled(before);
  });
});

describe("long runs", () => {
  test("two minutes of load over rotations every ten seconds", async () => {
    w.world.plane.setFaults({ lifetime: 20_000 });
    w.start();
    await eventually("ready", ready);
    const client = await w.client();
    const before = await w.held();
    const until = performance.now() + 120_000;
    const { sent, failures, serials } = await load(w.ports.listener, client, () => performance.now() > until);
    expect(failures).toEqual([]);
    expect(sent).toBeGreaterThan(1_000);
    expect(serials.size).toBeGreaterThanOrEqual(10);
    await client.stop();
    await w.settled(before);
  });
});
