import { describe } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { freePorts } from "../helpers/free-ports.ts";
import { ask } from "../helpers/proxy.ts";
import { answeringListener } from "../helpers/restarts/bootstrap.ts";
import { MeshRig } from "../helpers/restarts/mesh-rig.ts";
import { avoidable, RestartRig } from "../helpers/restarts/rig.ts";
import { rigTest } from "../helpers/restarts/rig-test.ts";

/* Hot restarts of the whole program under load, one quick pass; test/faults/hot-restart-many.test.ts has twenty of each. */

describe("nobody notices", () => {
  rigTest("three in a row, on a static configuration", async ({ expect, keep }) => {
    const rig = await RestartRig.start({}, keep);
    await rig.keeps();
    const load = await rig.load();
    const held = ask({ port: rig.ports.listener }, "/hold");
    await eventually("a request that takes longer", () => rig.app.held() === 1);
    expect((await rig.command("--wait")).code).toBe(0);
    rig.app.release();
    // It was begun on the old one, which ends what it has.
    expect(await held).toMatchObject({ status: 200, body: "released\n" });
    await rig.untilAlone();
    for (let epoch = 2; epoch <= 3; epoch++) {
      expect((await rig.restart()).said).toMatch(new RegExp(`^hot restart done: epoch ${epoch} serves, took`));
    }
    const report = await load.stop();
    expect(avoidable(report), String(report)).toEqual([]);
    expect(report.requests).toBeGreaterThan(500);
    expect(report.entry("tcp").connections).toBeGreaterThan(1);
    expect(await rig.ends()).toEqual({ code: 0, signal: null });
  });

  rigTest(
    "listeners by ADS, certificates by SDS, listeners that come, move and go meanwhile",
    async ({ expect, keep }) => {
      const rig = await MeshRig.start({}, keep);
      const [first = 0, second = 0] = await freePorts(2);
      const serves = async (port: number) => (await ask({ port }, "/")).body === "other";
      const load = await rig.load();
      await rig.keeps();

      rig.give([answeringListener("other", first, "other")]);
      await rig.restart();
      await eventually("the listener that came", () => serves(first));
      rig.give([answeringListener("other", second, "other")]);
      await rig.restart();
      await eventually("the listener at its new place", () => serves(second));
      await expect(ask({ port: first }, "/")).rejects.toThrow("ECONNREFUSED");
      rig.give([]);
      await rig.restart();
      await eventually("nobody listens there", () =>
        ask({ port: second }, "/").then(
          () => false,
          (error: unknown) => String(error).includes("ECONNREFUSED"),
        ),
      );

      const report = await load.stop();
      expect(avoidable(report), String(report)).toEqual([]);
      expect(report.entry("mtls-new").connections).toBeGreaterThan(50);
      expect((await rig.untilAlone()).epoch).toBe(3);
      expect(await rig.ends()).toEqual({ code: 0, signal: null });
    },
  );
});
