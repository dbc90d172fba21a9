// Small families that came in one piece wait as they stand (held-whole.ts). What becomes of them must be what becomes
// of families that were read line by line.
import { expect, test } from "vitest";
import type { Form } from "../../src/metrics/exposition.ts";
import { type LineRoom, takeRoom } from "../../src/metrics/line-runs/line-room.ts";
import { pageLimits } from "../../src/metrics/page.ts";
import { type Given, mergePages } from "./merge-pages.ts";

const forms: readonly Form[] = ["text", "openmetrics"];
const slow: LineRoom = { bytes: Buffer.alloc(takeRoom().bytes.length), runs: undefined };

/** The page as it is with and without the fast way, which must be the same. */
function bothWays(sources: readonly Given[], form: Form): string {
  const pieces = [1_000_000];
  const fast = mergePages(sources, form, "underscores", pageLimits, { pieces });
  const patient = mergePages(sources, form, "underscores", pageLimits, { pieces, room: () => slow });
  // Not as texts: the difference of two long ones takes minutes to print.
  expect(fast.page === patient.page, "the same page both ways").toBe(true);
  expect(fast.tallies.map((one) => [one.held, one.samples, one.families, ...one.droppedFamilies])).toEqual(
    patient.tallies.map((one) => [one.held, one.samples, one.families, ...one.droppedFamilies]),
  );
  return fast.page;
}

const text = (...lines: readonly string[]): Given => ({ form: "text", page: `${lines.join("\n")}\n` });
const last = ["# TYPE zz gauge", "zz 1"];

for (const form of forms) {
  test(`${form}: families whose help fills the room are all there`, () => {
    const help = "h".repeat(12_000);
    const names = Array.from({ length: 80 }, (_, i) => `thing_${i}`);
    const page = names.flatMap((name) => [`# HELP ${name} ${help}${name}`, `# TYPE ${name} gauge`, `${name}{a="1"} 2`]);
    const merged = bothWays(
      [text(...page, ...last), text('thing_0{a="2"} 3', "# TYPE thing_79 gauge", 'thing_79{a="2"} 3')],
      form,
    );
    const lines = merged.split("\n");
    for (const name of names) {
      expect(lines.filter((line) => line === `# HELP ${name} ${help}${name}`)).toHaveLength(1);
      expect(lines.filter((line) => line === `${name}{a="1"} 2`)).toHaveLength(1);
    }
    expect(lines).toContain('thing_79{a="2"} 3');
  });

  test(`${form}: one that is joined keeps its help, its type and its place`, () => {
    const first = text("# TYPE a gauge", "a 1", "# HELP b Of b.", "# TYPE b counter", 'b{x="1"} 1', ...last);
    const merged = bothWays([first, text("# TYPE b counter", 'b{x="1"} 5', 'b{x="2"} 6', ...last)], form);
    const type = form === "text" ? "counter" : "unknown";
    const order = ["# TYPE a gauge", "a 1", "# HELP b Of b.", `# TYPE b ${type}`, 'b{x="1"} 1', 'b{x="2"} 6'];
    expect(merged.split("\n").slice(0, 6)).toEqual(order);
  });

  test(`${form}: one of another type does not join, and costs the held one nothing`, () => {
    const first = text("# HELP b Of b.", "# TYPE b gauge", "b 1", ...last);
    const merged = bothWays([first, text("# TYPE b counter", 'b{x="2"} 6', ...last)], form);
    expect(merged).not.toContain('b{x="2"}');
    expect(merged.split("\n").slice(0, 3)).toEqual(["# HELP b Of b.", "# TYPE b gauge", "b 1"]);
  });

  test(`${form}: it may come twice on one page`, () => {
    const merged = bothWays(
      [text("# TYPE b gauge", "b 1", "# TYPE c gauge", "c 1", "# TYPE b gauge", 'b{x="2"} 6', ...last)],
      form,
    );
    expect(merged.split("\n").slice(0, 5)).toEqual(["# TYPE b gauge", "b 1", 'b{x="2"} 6', "# TYPE c gauge", "c 1"]);
  });

  test(`${form}: what has gone out already is not held`, () => {
    const own: Given = { ...text("# TYPE b gauge", "b 1"), hold: false };
    const merged = bothWays([own, text("# TYPE b gauge", 'b{x="2"} 6', ...last)], form);
    expect(merged.split("\n").filter((line) => line.startsWith("b"))).toEqual(["b 1"]);
  });
}
