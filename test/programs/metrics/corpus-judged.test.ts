import { describe, expect, test } from "vitest";
import type { Escaping, Form } from "../../../src/metrics/exposition.ts";
import { type Case, corpus } from "../../metrics/corpus.ts";
import { type Merged, mergePages } from "../../metrics/merge-pages.ts";
import { openMetricsVerdicts, prometheusVerdicts, promtoolError, withoutGo, withoutPrometheus } from "./judges.ts";

const contentTypes: Readonly<Record<Form, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

interface Page extends Case {
  readonly form: Form;
  readonly escaping: Escaping;
  readonly merged: Merged;
}

const pages: readonly Page[] = corpus.flatMap((one) =>
  (["text", "openmetrics"] as const).flatMap((form) =>
    (["underscores", "allow-utf-8"] as const).map((escaping) => ({
      ...one,
      form,
      escaping,
      merged: mergePages(one.sources, form, escaping),
    })),
  ),
);
const title = ({ name, form, escaping }: Page): string => `${name}, ${form}, ${escaping}`;

describe("every page of the corpus", () => {
  test("passes Python's strict OpenMetrics parser", async () => {
    const chosen = pages.filter(({ form }) => form === "openmetrics");
    const verdicts = await openMetricsVerdicts(chosen.map(({ merged }) => merged.page));
    expect(verdicts).toHaveLength(chosen.length);
    const refused = chosen.flatMap((page, i) => (verdicts[i]?.error === undefined ? [] : [[title(page), verdicts[i]]]));
    expect(refused).toEqual([]);
  });

  test.skipIf(withoutPrometheus !== undefined)(`passes promtool ${withoutPrometheus ?? ""}`, async () => {
    // Debian's Prometheus does not know quoted names yet.
    const chosen = pages.filter(({ form, escaping }) => form === "text" && escaping === "underscores");
    for (const page of chosen)
      expect([title(page), await promtoolError(page.merged.page)]).toEqual([title(page), undefined]);
  });

  test.skipIf(withoutGo !== undefined)(
    `passes Prometheus' own parser, without a repeated series ${withoutGo ?? ""}`,
    async () => {
      const verdicts = await prometheusVerdicts(
        pages.map(({ form, merged }) => ({ contentType: contentTypes[form], page: merged.page })),
      );
      const refused = pages.flatMap((page, i) => {
        const { error, duplicates } = verdicts[i] ?? { error: "no verdict" };
        return error === undefined && duplicates === undefined ? [] : [[title(page), error, duplicates]];
      });
      expect(refused).toEqual([]);
    },
  );

  test.skipIf(withoutGo !== undefined)(
    `round trip: what comes out went in, and the rest is counted ${withoutGo ?? ""}`,
    async () => {
      for (const page of pages.filter(({ escaping }) => escaping === "allow-utf-8")) await checkRoundTrip(page);
    },
  );
});

/** Samples that Prometheus reads on the page = samples that it reads on the sources' pages - what we say we dropped. */
async function checkRoundTrip(page: Page): Promise<void> {
  const before = await prometheusVerdicts(
    page.sources.map(({ form, page: text }) => ({ contentType: contentTypes[form], page: text.toString() })),
  );
  // What a strict reader refuses has no right answer.
  if (before.some(({ error }) => error !== undefined)) return;
  const [after] = await prometheusVerdicts([{ contentType: contentTypes[page.form], page: page.merged.page }]);
  const given = before.flatMap(({ samples }) => samples ?? []).map(normalized);
  const out = (after?.samples ?? []).map(normalized);
  const dropped = page.merged.tallies.flatMap((tally) => [...tally.dropped.values()]).reduce((a, b) => a + b, 0);
  const made = out.filter((sample) => !given.includes(sample));
  expect([title(page), made]).toEqual([title(page), []]);
  expect([title(page), given.length - dropped]).toEqual([title(page), out.length]);
  expect(page.merged.tallies.reduce((sum, { samples }) => sum + samples, 0)).toBe(out.length);
}

/** Prometheus writes bounds as it likes when it knows the type: "1" becomes "1.0". */
const normalized = (sample: string): string =>
  sample.replace(/\b(le|quantile)="([^"]*)"/, (_, name: string, bound: string) => `${name}="${Number(bound)}"`);

describe("the judges bite", () => {
  test("each refuses a page that is wrong", async () => {
    const [python] = await openMetricsVerdicts(["# TYPE a gauge\na 1\n# TYPE a gauge\na 2\n# EOF\n"]);
    expect(python?.error).toBeDefined();
    if (withoutPrometheus === undefined) expect(await promtoolError("a{b=1} 2\n")).toBeDefined();
    if (withoutGo !== undefined) return;
    const [broken, twice] = await prometheusVerdicts([
      { contentType: contentTypes.openmetrics, page: "a 1\n" },
      { contentType: contentTypes.text, page: 'a{b="1"} 1\na{b="1"} 2\n' },
    ]);
    expect(broken?.error).toBeDefined();
    expect(twice?.duplicates).toEqual(['{__name__="a", b="1"}']);
  });
});
