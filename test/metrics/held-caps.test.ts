import { describe, expect, test } from "vitest";
import type { Form } from "../../src/metrics/exposition.ts";
import { ROOM_END } from "../../src/metrics/line-runs/line-room.ts";
import { type Manner, type Merged, mergePages } from "./merge-pages.ts";
import { sampleCount, strictPage } from "./strict-page.ts";

/* What is held, and what joins it, to the byte; and always the same, in whatever pieces the pages come. */

/** What joins one family, of all sources together; what one family may have to be held. */
const FAMILY = 16 * 1024;
/** What is held of one source, and what a family takes of that beside its lines. */
const HELD = 512 * 1024;
const OVERHEAD = 300;

const withoutAssembly = () => ({ bytes: Buffer.allocUnsafeSlow(ROOM_END + 64), runs: undefined });
const manners: readonly Manner[] = [
  { pieces: [1_000_000] },
  { pieces: [65_536] },
  { pieces: [1_000] },
  { pieces: [37] },
  { pieces: [1_000_000], room: withoutAssembly },
  { pieces: [999], room: withoutAssembly },
];

/** The one page that comes of these, whatever the manner. */
function merge(pages: readonly string[], form: Form = "text"): Merged {
  const all = manners.map((manner) =>
    mergePages(
      pages.map((page) => ({ form: "text", page })),
      form,
      "underscores",
      undefined,
      manner,
    ),
  );
  const [first] = all;
  if (first === undefined) throw new Error("there is no manner");
  for (const one of all) {
    expect(one.page === first.page).toBe(true);
    expect(one.tallies.map(told)).toEqual(first.tallies.map(told));
  }
  expect(strictPage(first.page, form)).toEqual([]);
  return first;
}

const told = ({ samples, families, dropped, droppedFamilies }: Merged["tallies"][number]) => ({
  samples,
  families,
  dropped: Object.fromEntries(dropped),
  names: Object.fromEntries(droppedFamilies),
});

/** Lines of one family of exactly so many bytes, each with a label of its own. */
function lines(family: string, source: string, bytes: number, each = 100): string {
  const count = Math.max(1, Math.floor(bytes / each));
  const all: string[] = [];
  for (let i = 0, left = bytes; i < count; i++) {
    const length = i === count - 1 ? left : each;
    const bare = `${family}{s="${source}${i}",p=""} 1\n`;
    all.push(bare.replace('p=""', `p="${"x".repeat(length - bare.length)}"`));
    left -= length;
  }
  expect(all.join("").length).toBe(bytes);
  return all.join("");
}

const gauge = (family: string, text: string): string => `# TYPE ${family} gauge\n${text}`;
const owner = gauge("j", 'j{s="owner"} 1\n');
/** Samples of the family on the page, by the source that their label names. */
const from = ({ page }: Merged, family: string, source: string): number =>
  page.split(`\n${family}{s="${source}`).length - 1;

describe.each(["text", "openmetrics"] as const)("16 kB join a held family; %s", (form) => {
  test("all of a source's lines when they are that much", () => {
    const merged = merge([owner, gauge("j", lines("j", "a", FAMILY))], form);
    expect(from(merged, "j", "a")).toBe(163);
    expect(merged.tallies.map(told)[1]).toMatchObject({ samples: 163, dropped: {}, names: {} });
  });

  test("none when they are a byte more; all are counted", () => {
    const merged = merge([owner, gauge("j", lines("j", "a", FAMILY + 1)), gauge("k", "k 1\n")], form);
    expect([from(merged, "j", "owner"), from(merged, "j", "a")]).toEqual([1, 0]);
    expect(merged.tallies.map(told)[1]).toEqual({
      samples: 0,
      families: 0,
      dropped: { collision: 163 },
      names: { j: 163 },
    });
    expect(sampleCount(merged.page)).toBe(2);
  });

  test("and of several sources together: who has no room any more is left out, a smaller one behind it is not", () => {
    const pages = [10_000, 6_385, 6_000, 385, 384].map((bytes, i) => gauge("j", lines("j", `s${i}-`, bytes, 500)));
    const merged = merge([owner, ...pages], form);
    expect([0, 1, 2, 3, 4].map((i) => from(merged, "j", `s${i}-`))).toEqual([20, 0, 12, 0, 1]);
    expect(merged.tallies.map((one) => told(one).names)).toEqual([{}, {}, { j: 12 }, {}, { j: 1 }, {}]);
  });

  test("and of one source in several places: each of them is all or nothing", () => {
    const parts = [9_000, 9_000, 7_384, 1].map((bytes, i) =>
      bytes === 1 ? gauge("j", 'j{s="s3-"} 1\n') : gauge("j", lines("j", `s${i}-`, bytes, 500)),
    );
    const merged = merge([owner, parts.join(gauge("between", "between 1\n"))], form);
    expect([0, 1, 2, 3].map((i) => from(merged, "j", `s${i}-`))).toEqual([18, 0, 14, 0]);
    expect(merged.tallies.map(told)[1]?.names).toEqual({ j: 19 });
  });

  test("the first source's own lines are no part of that", () => {
    const large = gauge("j", lines("j", "owner", FAMILY));
    const merged = merge([large, gauge("j", lines("j", "a", FAMILY))], form);
    expect([from(merged, "j", "owner"), from(merged, "j", "a")]).toEqual([163, 163]);
  });
});

describe.each(["text", "openmetrics"] as const)("groups, which go on as a whole; %s", (form) => {
  /** Groups of three lines, so many bytes in all: the sum of the last one is as long as need be. */
  function groups(source: string, bytes: number): string {
    const group = (n: number, sum = "1"): string => {
      const labels = `s="${source}${n}",p="${"x".repeat(100)}"`;
      return `j_bucket{${labels},le="+Inf"} 1\nj_sum{${labels}} ${sum}\nj_count{${labels}} 1\n`;
    };
    const each = group(10).length;
    const count = Math.floor(bytes / each);
    const all = Array.from({ length: count }, (_, n) => group(10 + n)).join("");
    const sum = `1.${"0".repeat(bytes - all.length - 1)}`;
    const page = `${all.slice(0, -each)}${group(9 + count, bytes === all.length ? "1" : sum)}`;
    expect(page.length).toBe(bytes);
    return page;
  }
  const heading = "# TYPE j histogram\n";
  const sums = ({ page }: Merged, source: string): number => page.split(`\nj_sum{s="${source}`).length - 1;

  test.each([
    [FAMILY, true],
    [FAMILY + 1, false],
  ])("of %i bytes all join or none: %s", (bytes, joins) => {
    const joining = groups("a", bytes);
    const merged = merge([heading + groups("o", 1_000), heading + joining], form);
    const count = joining.split("j_sum{").length - 1;
    expect([sums(merged, "o"), sums(merged, "a")]).toEqual([2, joins ? count : 0]);
    expect(merged.tallies.map(told)[1]?.names).toEqual(joins ? {} : { j: 3 * count });
  });

  test.each([
    [FAMILY, true],
    [FAMILY + 1, false],
  ])("of %i bytes a family is held or not: %s", (bytes, held) => {
    const merged = merge([heading + groups("o", bytes), heading + groups("a", 1_000)], form);
    expect(sums(merged, "o")).toBeGreaterThan(40);
    expect(sums(merged, "a")).toBe(held ? 2 : 0);
  });
});

describe.each(["text", "openmetrics"] as const)("16 kB of one family are held; %s", (form) => {
  const joins = gauge("j", lines("j", "a", 1_000));
  /** Then it is known where the family before it ends. */
  const behind = gauge("behind", "behind 1\n");

  test("with so much it is, and others join", () => {
    const merged = merge([gauge("j", lines("j", "owner", FAMILY)) + behind, joins], form);
    expect([from(merged, "j", "owner"), from(merged, "j", "a")]).toEqual([163, 10]);
  });

  test("with a byte more it is not: it goes out at once, and others are left out", () => {
    const merged = merge([gauge("j", lines("j", "owner", FAMILY + 1)) + behind, joins], form);
    expect([from(merged, "j", "owner"), from(merged, "j", "a")]).toEqual([163, 0]);
    expect(merged.tallies.map(told)[1]).toMatchObject({ dropped: { collision: 10 }, names: { j: 10 } });
  });
});

describe.each(["text", "openmetrics"] as const)("512 kB of one source are held; %s", (form) => {
  /** 34 families of 15,000 bytes. */
  const before = Array.from({ length: 34 }, (_, i) => gauge(`f${i}`, lines(`f${i}`, "owner", 15_000, 1_000))).join("");
  const left = HELD - 34 * (15_000 + OVERHEAD);
  const edge = (bytes: number): string => gauge("edge", lines("edge", "owner", bytes));
  const joins = gauge("edge", lines("edge", "a", 600));

  test("a family that has just room is, and others join", () => {
    const merged = merge([before + edge(left - OVERHEAD) + gauge("behind", "behind 1\n"), joins], form);
    expect(from(merged, "edge", "a")).toBe(6);
    expect(merged.tallies.map(told)[1]).toMatchObject({ samples: 6, dropped: {} });
  });

  test("one that is a byte larger is not: nobody joins it, what would is counted by name", () => {
    const merged = merge([before + edge(left - OVERHEAD + 1), joins, joins.replaceAll('"a', '"b')], form);
    expect([from(merged, "edge", "owner"), from(merged, "edge", "a"), from(merged, "edge", "b")]).toEqual([37, 0, 0]);
    for (const tally of merged.tallies.slice(1).map(told))
      expect(tally).toEqual({ samples: 0, families: 0, dropped: { collision: 6 }, names: { edge: 6 } });
  });

  test("it takes no room from a smaller one behind it", () => {
    const small = gauge("small", 'small{s="owner"} 1\n');
    const pages = [before + edge(left - OVERHEAD + 1) + small, joins + small.replace("owner", "a")];
    const merged = merge(pages, form);
    expect([from(merged, "edge", "a"), from(merged, "small", "a")]).toEqual([0, 1]);
  });

  test("not even a family without room for what it takes beside its lines is held", () => {
    const tiny = (source: string): string => gauge("tiny", `tiny{s="${source}"} 1\n`);
    // What is left is for 299 bytes, then for 300, then for its line, which has 18, but for a byte of it, then for all.
    for (const [room, joined] of [
      [299, 0],
      [300, 0],
      [317, 0],
      [318, 1],
    ] as const) {
      const filler = gauge("filler", lines("filler", "owner", left - OVERHEAD - room, 3_000));
      const merged = merge([before + filler + tiny("owner"), tiny("a")], form);
      expect([room, from(merged, "tiny", "owner"), from(merged, "tiny", "a")]).toEqual([room, 1, joined]);
    }
  });

  test("nor does what wanted to join, and was too much", () => {
    // The last of the 34 families comes behind it; it would not fit if any of that were still counted.
    const all = before.replaceAll("# TYPE f", "# TYPE g").replaceAll("\nf", "\ng");
    const last = all.lastIndexOf("# TYPE");
    const refused = gauge("j", lines("j", "a", FAMILY + 1));
    const merged = merge([owner, all.slice(0, last) + refused + all.slice(last), gauge("g33", 'g33{s="b"} 1\n')], form);
    expect([from(merged, "j", "a"), from(merged, "g33", "b")]).toEqual([0, 1]);
  });

  test("the other sources have allowances of their own, what joins counts on that of who joins", () => {
    const others = before.replaceAll("# TYPE f", "# TYPE g").replaceAll("\nf", "\ng");
    const pages = [before + owner, others + gauge("j", lines("j", "a", left)), owner.replace("owner", "b")];
    const merged = merge(pages, form);
    expect([from(merged, "j", "a"), from(merged, "j", "b")]).toEqual([Math.floor(left / 100), 1]);
    const more = merge(
      [before + owner, others + gauge("j", lines("j", "a", left + 1)), owner.replace("owner", "b")],
      form,
    );
    expect([from(more, "j", "a"), from(more, "j", "b")]).toEqual([0, 1]);
  });
});
