import { readFileSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import { lastingDescriptors, sharedMemoryOf, zombiesBelow } from "../helpers/restarts/leaks.ts";
import { RestartRig } from "../helpers/restarts/rig.ts";

/* Twenty restarts in a row, and twenty swaps: what we hold afterwards is what we held before. Not from the first one on:
   until the fifteenth or so the heap grows to what such work needs (22 to 30 MB), then it stays (31 MB after forty). */

let rig: RestartRig | undefined;
afterEach(async () => {
  await rig?.done();
  rig = undefined;
});

const ownKb = (pid: number): number =>
  Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);

/** Of several moments: a collection of garbage may be due. */
const held = (pid: number) => ({ descriptors: lastingDescriptors(pid).length, ownKb: ownKb(pid) });

test.each([
  ["hot restarts", [], 10],
  // The first swap makes the forwarder of the admin's port, which stays.
  ["swaps", ["--strategy", "swap"], 8],
] as const)("20 %s", async (_, words, warm) => {
  rig = await RestartRig.start({ args: ["--probation", "1s"] }, (one) => {
    rig = one;
  });
  const { pid } = rig.proxy;
  for (let count = 0; count < warm; count += 1) await rig.restart(...words);
  await rig.keeps();
  const before = held(pid);
  for (let count = 0; count < 20; count += 1) {
    await rig.restart(...words);
    // Of one lineage at a time, however many there have been.
    expect(sharedMemoryOf(rig.proxy.folder.path)).toHaveLength(1);
  }
  await rig.holdsNoMore();
  await rig.keeps();
  const after = held(pid);
  expect(after.descriptors, rig.proxy.output.slice(-2_000)).toBeLessThanOrEqual(before.descriptors);
  expect(after.ownKb - before.ownKb, `${before.ownKb} kB before, ${after.ownKb} kB after`).toBeLessThan(6_144);
  expect(zombiesBelow(pid)).toEqual([]);
  expect((await rig.ends()).code).toBe(0);
});
