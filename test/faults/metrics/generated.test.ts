import { expect, test } from "vitest";
import { type GeneratedCase, generatedCase, problemsOf } from "../../metrics/generated-case.ts";
import { regularProblems } from "../../metrics/regular-case.ts";
import {
  openMetricsVerdicts,
  prometheusVerdicts,
  promtoolError,
  withoutGo,
  withoutPrometheus,
} from "../../programs/metrics/judges.ts";

const CASES = 100_000;
const REGULAR = 5_000;
/** The foreign parsers are slower; they judge the first cases. */
const JUDGED = 5_000;

test(`${CASES} generated sets of pages: valid, colliding, hostile`, () => {
  for (let seed = 1; seed <= CASES; seed++) {
    const problems = problemsOf(generatedCase(seed));
    if (problems.length > 0) expect({ seed, problems }).toEqual({ seed, problems: [] });
  }
});

test(`${REGULAR} long and regular pages: with and without WebAssembly, in any pieces`, () => {
  for (let seed = 1; seed <= REGULAR; seed++)
    expect({ seed, wrong: regularProblems(seed) }).toEqual({ seed, wrong: [] });
});

const cases: readonly GeneratedCase[] = Array.from({ length: JUDGED }, (_, i) => generatedCase(i + 1));
const of = (form: string): readonly GeneratedCase[] => cases.filter((one) => one.form === form);

test("Python's strict parser takes every OpenMetrics page among them", async () => {
  const verdicts = await openMetricsVerdicts(of("openmetrics").map(({ merged }) => merged.page));
  const refused = of("openmetrics").flatMap(({ seed }, i) =>
    verdicts[i]?.error === undefined ? [] : [[seed, verdicts[i]]],
  );
  expect(refused).toEqual([]);
});

test.skipIf(withoutGo !== undefined)(`Prometheus' own parser takes all of them ${withoutGo ?? ""}`, async () => {
  const verdicts = await prometheusVerdicts(
    cases.map(({ form, merged }) => ({
      contentType: form === "text" ? "text/plain; version=0.0.4" : "application/openmetrics-text; version=1.0.0",
      page: merged.page,
    })),
  );
  const refused = cases.flatMap(({ seed }, i) =>
    verdicts[i]?.error === undefined ? [] : [[seed, verdicts[i]?.error]],
  );
  expect(refused).toEqual([]);
});

test.skipIf(withoutPrometheus !== undefined)(`promtool takes the text pages ${withoutPrometheus ?? ""}`, async () => {
  const plain = of("text").filter(({ escaping }) => escaping === "underscores");
  for (const { seed, merged } of plain.slice(0, 200))
    expect([seed, await promtoolError(merged.page)]).toEqual([seed, undefined]);
});
