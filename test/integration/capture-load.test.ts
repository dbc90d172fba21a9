import { afterAll, describe, expect, test } from "vitest";
import { optionSets, optionsOf } from "../capture/option-sets.ts";
import { capture } from "../helpers/capture-calls.ts";
import { engineSettings, engines, kindsOf, loadsAll, podOf } from "../helpers/capture-loads.ts";
import { kernelSnapshot, legacyTables, type Namespace } from "../helpers/network-namespaces.ts";

/** T2, T3, T4: every option set really loads, twice and unforced too, and leaves nothing behind. */
const made: Namespace[] = [];
afterAll(() => {
  for (const one of made) one.done();
});

describe.each(engines)("option sets load by %s", (engine) => {
  // A part of them by each engine, together most of them; test/faults loads all by all.
  const share = {
    native: (at: number) => at % 2 === 0,
    nft: (at: number) => at % 6 === 1,
    legacy: (at: number) => at % 6 === 3,
  };
  const sets = optionSets.filter((_, index) => share[engine](index));
  test.concurrent.each(kindsOf(sets))("in a pod of kind %s", (kind) => loadsAll(sets, kind, engine, made));
});

test("run again and again, forced or not: same bytes, one engine, one policy rule", async () => {
  for (const [index, engine] of engines.entries()) {
    const pod = podOf("dual", made);
    const wanted = optionSets.find((one) => one.title === "dual-tproxy");
    if (wanted === undefined) throw new Error("no such option set");
    await capture(pod, optionsOf(wanted, engineSettings(engine)));
    const first = kernelSnapshot(pod);
    for (const again of [engineSettings(engine), {}, {}]) {
      const { text } = await capture(pod, optionsOf(wanted, again));
      expect(text).toContain("nothing to do");
      expect(kernelSnapshot(pod)).toBe(first);
    }
    await capture(pod, optionsOf(wanted, { ...engineSettings(engine), "force-apply": "true" }));
    expect(kernelSnapshot(pod)).toBe(first);
    expect(pod.sh("ip", "rule").match(/fwmark/g)).toHaveLength(1);
    expect(pod.sh("ip", "-6", "rule").match(/fwmark/g)).toHaveLength(1);
    if (engines[index] !== "legacy") expect(legacyTables(pod)).toBe("");
  }
});

test("a dry run, an explanation and a refused set change nothing, whatever is loaded", async () => {
  const pod = podOf("dual", made);
  for (const engine of engines) {
    const options = (title: string): ReturnType<typeof optionsOf> => {
      const one = optionSets.find((set) => set.title === title);
      if (one === undefined) throw new Error(`no option set ${title}`);
      return optionsOf(one, engineSettings(engine));
    };
    const before = kernelSnapshot(pod);
    for (const title of ["dual-dns", "tproxy-dns-drop"])
      for (const run of [{ dryRun: true }, { explain: true }, { dryRun: true, cleanupOnly: true }])
        expect((await capture(pod, options(title), run)).outcome).toBe("done");
    expect(kernelSnapshot(pod)).toBe(before);
    await capture(pod, options("dual-tproxy"));
  }
});
