import { afterEach, describe, expect, test } from "vitest";
import { avoidable, RestartRig } from "../helpers/restarts/rig.ts";

/* Hot restarts of the whole program under load, one quick pass; test/faults/hot-restart-many.test.ts has twenty of each. */

const rigs: RestartRig[] = [];
const start = (options?: Parameters<typeof RestartRig.start>[0]) => RestartRig.start(options, (rig) => rigs.push(rig));
afterEach(async () => {
  await Promise.all(rigs.splice(0).map((rig) => rig.done()));
});

describe("nobody notices", () => {
  test("three in a row, on a static configuration", async () => {
    const rig = await start();
    await rig.keeps(rig.ports.listener);
    const load = await rig.load();
    for (let epoch = 1; epoch <= 3; epoch++) {
      expect((await rig.restart()).said).toMatch(new RegExp(`^hot restart done: epoch ${epoch} serves, took`));
    }
    const report = await load.stop();
    expect(avoidable(report), String(report)).toEqual([]);
    expect(report.requests).toBeGreaterThan(500);
    expect(report.entry("tcp").connections).toBeGreaterThan(1);
    expect(await rig.ends()).toEqual({ code: 0, signal: null });
  });
});
