import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Form } from "../../src/metrics/exposition.ts";
import { corpus } from "./corpus.ts";
import { type Merged, mergePages } from "./merge-pages.ts";
import { strictPage } from "./strict-page.ts";

/** UPDATE_GOLDEN=1 rewrites. */
function golden(file: string, text: string): void {
  if (process.env["UPDATE_GOLDEN"] === "1" || !existsSync(file)) writeFileSync(file, text);
  expect(text).toBe(readFileSync(file, "utf8"));
}

const report = ({ tallies, causes }: Merged): string =>
  `${JSON.stringify(
    tallies.map((tally, i) => ({
      source: tally.source,
      failure: causes[i],
      samples: tally.samples,
      families: tally.families,
      dropped: Object.fromEntries(tally.dropped),
      droppedFamilies: Object.fromEntries(tally.droppedFamilies),
    })),
    null,
    1,
  )}\n`;

describe.each(corpus)("$name", ({ folder, sources }) => {
  test.each<Form>(["text", "openmetrics"])("as %s", (form) => {
    const merged = mergePages(sources, form);
    golden(join(folder, `expected.${form}.txt`), merged.page);
    golden(join(folder, `expected.${form}.json`), report(merged));
    expect(strictPage(merged.page, form)).toEqual([]);
  });

  test("the same page whatever the pieces are in which it comes", () => {
    for (const form of ["text", "openmetrics"] as const) {
      const whole = mergePages(sources, form).page;
      for (const size of [1, 7, 100]) {
        const pieces = sources.map((one) => ({ ...one, pieces: [size] }));
        expect(mergePages(pieces, form).page).toBe(whole);
      }
    }
  });
});
