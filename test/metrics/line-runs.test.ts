import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
// @ts-expect-error: plain JavaScript, run by whoever changes the source
import { compiledLineRuns } from "../../scripts/compile-line-runs.mjs";
import { giveRoomBack, type LineRuns, takeRoom } from "../../src/metrics/line-runs/line-room.ts";
import { pageLimits } from "../../src/metrics/page.ts";
import { root } from "../helpers/paths.ts";
import { mergePages } from "./merge-pages.ts";
import { regularProblems } from "./regular-case.ts";
import { sampleCount } from "./strict-page.ts";

const CASES = 300;

test("binary.ts is what the source gives (node scripts/compile-line-runs.mjs writes it)", async () => {
  const committed = readFileSync(join(root, "src/metrics/line-runs/binary.ts"), "utf8");
  expect(committed).toBe(await compiledLineRuns());
});

test(`${CASES} regular pages: with the runs, without them, and in any pieces the page is the same, and valid`, () => {
  for (let seed = 1; seed <= CASES; seed++) expect({ seed, wrong: regularProblems(seed) }).toEqual({ seed, wrong: [] });
});

test("a carriage return behind a comment's name is no part of it, in whatever pieces it comes", () => {
  const page = '# HELP a Some help\n# TYPE b\r\n a 0\na{x="1", y="2"} 1\n# TYPE z gauge\nz 1\n';
  const merge = (pieces: readonly number[]): string => mergePages([{ form: "text", page, pieces }], "text").page;
  const merged = merge([page.length]);
  expect(merged).toBe('# TYPE a untyped\na{x="1",y="2"} 1\n# TYPE z gauge\nz 1\n');
  for (let size = 1; size < page.length; size++) expect(merge([size])).toBe(merged);
});

test("nearly all lines of a regular page are found in runs", () => {
  const room = takeRoom();
  let found = 0;
  const { runs } = room;
  if (runs === undefined) throw new Error("there is no WebAssembly here");
  const counting: LineRuns = {
    ...runs,
    found: runs.found,
    alike: (...args) => counted(runs.alike(...args), () => runs.found.lines),
    family: (...args) => counted(runs.family(...args), (to) => (to === args[0] ? 0 : runs.found.lines)),
    histograms: (...args) => counted(runs.histograms(...args), groupLines),
  };
  const groupLines = (): number =>
    Array.from({ length: runs.found.groups }, (_, i) => runs.found.linesOf(i)).reduce((a, b) => a + b, 0);
  function counted(to: number, lines: (to: number) => number): number {
    found += lines(to);
    return to;
  }
  const page = regularPage();
  for (const form of ["text", "openmetrics"] as const) {
    found = 0;
    const merged = mergePages([{ form: "text", page }], form, "underscores", pageLimits, {
      room: () => ({ bytes: room.bytes, runs: counting }),
      pieces: [300_000],
    });
    expect(sampleCount(merged.page)).toBe(sampleCount(page));
    expect(found / sampleCount(page)).toBeGreaterThan(0.95);
  }
  giveRoomBack(room);
});

/** As Envoy's: counters, gauges, histograms, one behind the other, without help. */
function regularPage(): string {
  const clusters = Array.from({ length: 200 }, (_, i) => `envoy_cluster_name="outbound|8080||svc-${i}.default"`);
  const plain = ["counter", "gauge"].flatMap((type) =>
    Array.from(
      { length: 20 },
      (_, n) => `# TYPE ${type}_${n} ${type}\n${clusters.map((c, i) => `${type}_${n}{${c}} ${i * n}\n`).join("")}`,
    ),
  );
  const buckets = (name: string, labels: string): string =>
    ["0.5", "1", "5", "+Inf"].map((le, i) => `${name}_bucket{${labels},le="${le}"} ${i}\n`).join("");
  const histograms = Array.from({ length: 5 }, (_, n) => {
    const name = `histogram_${n}`;
    return `# TYPE ${name} histogram\n${clusters.map((c) => `${buckets(name, c)}${name}_sum{${c}} 7.5\n${name}_count{${c}} 3\n`).join("")}`;
  });
  return [...plain, ...histograms].join("");
}
