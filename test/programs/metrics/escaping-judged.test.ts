import { describe, expect, test } from "vitest";
import type { Escaping, Form } from "../../../src/metrics/exposition.ts";
import { type Given, type Merged, mergePages } from "../../metrics/merge-pages.ts";
import { sampleCount, strictPage } from "../../metrics/strict-page.ts";
import { openMetricsVerdicts, prometheusVerdicts, withoutGo } from "./judges.ts";

/* Names that a page can't spell as they are: what becomes of them must be a page that every strict reader takes. */

const contentTypes: Readonly<Record<Form, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};
const forms = ["text", "openmetrics"] as const;
const escapings = ["underscores", "allow-utf-8"] as const;

interface Page {
  readonly sources: readonly Given[];
  readonly form: Form;
  readonly escaping: Escaping;
}
const mergeOf = ({ sources, form, escaping }: Page): Merged => mergePages(sources, form, escaping);

const droppedOf = ({ tallies }: Merged): number =>
  tallies.flatMap(({ dropped }) => [...dropped.values()]).reduce((a, b) => a + b, 0);
const reasonsOf = ({ tallies }: Merged) => tallies.map(({ dropped }) => Object.fromEntries(dropped));
const samplesOn = ({ page }: Merged): readonly string[] =>
  page.split("\n").filter((line) => line !== "" && !line.startsWith("#"));

/** What the judges have against each page: parts of a sentence, or nothing. */
async function faults(pages: readonly Page[]): Promise<readonly string[]> {
  const merged = pages.map(mergeOf);
  const go =
    withoutGo === undefined
      ? await prometheusVerdicts(
          merged.map(({ page }, i) => ({ contentType: contentTypes[pages[i]?.form ?? "text"], page })),
        )
      : [];
  const open = merged.filter((_, i) => pages[i]?.form === "openmetrics");
  const python = open.length === 0 ? [] : await openMetricsVerdicts(open.map(({ page }) => page));
  return merged.flatMap((one, i) => {
    const { form, sources } = pages[i] ?? { form: "text", sources: [] };
    const given = sources.reduce((sum, { page }) => sum + sampleCount(page.toString()), 0);
    const lost = given - samplesOn(one).length - droppedOf(one);
    const { error, duplicates } = go[i] ?? {};
    const refused = python[open.indexOf(one)]?.error;
    const wrong = [error, refused, ...(duplicates ?? []), ...strictPage(one.page, form)].filter((what) => what);
    if (lost !== 0) wrong.push(`${lost} samples are lost without a word`);
    return wrong.length === 0 ? [] : [`${JSON.stringify(sources.map(({ page }) => page))} as ${form}: ${wrong.join()}`];
  });
}

const text = (page: string): Given => ({ form: "text", page });
const open = (page: string): Given => ({ form: "openmetrics", page: `${page}# EOF\n` });

describe("a label name that OpenMetrics reserves", () => {
  /** Too many lines to be held: those go out another way. */
  const many = Array.from({ length: 2_000 }, (_, n) => `d{n="${n}"} 1\n`).join("");
  const cases: readonly (readonly [spelled: string, line: string, escaping: Escaping])[] = [
    ["in quotes, and quoted on the page too", 'd{"__na.me"="x"} 1\n', "allow-utf-8"],
    ["in quotes, without need", 'd{"__name"="x"} 1\n', "allow-utf-8"],
    ["in quotes, without need, where none go out", 'd{"__name"="x"} 1\n', "underscores"],
    ["made of dots", 'd{".._x"="1"} 1\n', "underscores"],
    ["made of a letter and a dot", 'd{"_é"="1"} 1\n', "underscores"],
    ["as it is", 'd{__x="1"} 1\n', "underscores"],
    ["beside others", 'd{a="b","__na.me"="x",c="d"} 1\n', "allow-utf-8"],
    ["of a quoted name", '{"d","__na.me"="x"} 1\n', "allow-utf-8"],
  ];

  test.each(cases)("is left out with its sample: %s", async (_, line, escaping) => {
    const pages = [text, open].flatMap((source) =>
      ['d{n="last"} 1\n', many].map((rest) => {
        const page: Page = { sources: [source(line + rest), text("next 1\n")], form: "openmetrics", escaping };
        const merged = mergeOf(page);
        expect(reasonsOf(merged)).toEqual([{ syntax: 1 }, {}]);
        expect(samplesOn(merged)).toEqual([...rest.trimEnd().split("\n"), "next 1"]);
        return page;
      }),
    );
    expect(await faults(pages)).toEqual([]);
  });

  test.each([
    ['d{".._x"="1"} 1', "allow-utf-8"],
    ['d{"_a.b"="1"} 1', "underscores"],
    ['d{"a__b.c"="1"} 1', "underscores"],
    ['d{x="__y"} 1', "underscores"],
  ] as const)("and no other one: %s, %s", async (line, escaping) => {
    const page: Page = { sources: [text(`${line}\n`)], form: "openmetrics", escaping };
    expect(reasonsOf(mergeOf(page))).toEqual([{}]);
    expect(samplesOn(mergeOf(page))).toHaveLength(1);
    expect(await faults([page])).toEqual([]);
  });

  test.each(escapings)("stays on a text page, where it may stand; %s", async (escaping) => {
    const page: Page = { sources: [text('d{"__na.me"="x"} 1\nd{__x="1"} 2\n')], form: "text", escaping };
    expect(reasonsOf(mergeOf(page))).toEqual([{}]);
    expect(await faults([page])).toEqual([]);
  });
});

describe("two series that would be one", () => {
  test.each([
    ['a{"x.y"="1"} 1\na{x_y="1"} 2\n', 'a{x_y="1"} 1'],
    ['a{x_y="1"} 2\na{"x.y"="1"} 1\n', 'a{x_y="1"} 2'],
    ['{"a.b",x="1"} 1\na_b{x="1"} 2\n', 'a_b{x="1"} 1'],
    ['a_b{x="1"} 2\n{"a.b",x="1"} 1\n', 'a_b{x="1"} 2'],
    ['{"ü"} 4\n{"ö"} 5\n', "_ 4"],
    ['a{"x.y"="1",z="2"} 1\na{z="2",x_y="1"} 2\n', 'a{x_y="1",z="2"} 1'],
  ])("%j: the first one stays, the other one is counted", async (lines, stays) => {
    for (const form of forms) {
      const page: Page = { sources: [text(lines)], form, escaping: "underscores" };
      expect([samplesOn(mergeOf(page)), reasonsOf(mergeOf(page))]).toEqual([[stays], [{ duplicate: 1 }]]);
      expect(await faults([page])).toEqual([]);
      const utf8 = mergeOf({ ...page, escaping: "allow-utf-8" });
      expect([samplesOn(utf8).length, reasonsOf(utf8)]).toEqual([2, [{}]]);
    }
  });

  /** Of each a name for what it is, so that no source says the same series twice, and its lines. */
  type Unit = readonly [series: string, lines: string];
  const lines: readonly Unit[] = [
    ["a x.y", 'a{"x.y"="1"} V\n'],
    ["a x_y", 'a{x_y="1"} V\n'],
    ["a x:y", 'a{"x:y"="1"} V\n'],
    ["a x.y z", '{"a","x.y"="1",z="2"} V\n'],
    ["a x_y z", 'a{z="2",x_y="1"} V\n'],
    ["a.b x", '{"a.b",x="1"} V\n'],
    ["a b x", '{"a b",x="1"} V\n'],
    ["a_b x", 'a_b{"x"="1"} V\n'],
    ["a.b x.y", '{"a.b","x.y"="1"} V\n'],
    ["a_b x_y", 'a_b{x_y="1"} V\n'],
    ["a.b", '{"a.b"} V\n'],
    ["a_b", "a_b V\n"],
    ["ü", '{"ü"} V\n'],
    ["1", '{"1"} V\n'],
    ["_", "_ V\n"],
  ];
  const grouped = (name: string, suffix: string, label: string): string =>
    `{"${name}${suffix}} V\n{"${name}_sum"${label}} V\n{"${name}_count"${label}} V\n`;
  const families: readonly Unit[] = ["h.x", "h_x", "h:x"].flatMap((name) => {
    const of = (type: string, rest: string, own = name): Unit => [name, `# TYPE "${own}" ${type}\n${rest}`];
    return [
      of("gauge", `{"${name}"} V\n`),
      of("unknown", `{"${name}"} V\n`),
      of("counter", `{"${name}_total"} V\n`),
      of("gauge", `{"${name}_count"} V\n`, `${name}_count`),
      of("summary", grouped(name, '",quantile="0.5"', "")),
      of("histogram", grouped(name, '_bucket",le="+Inf"', "")),
      of("histogram", grouped(name, '_bucket",le="+Inf","p.q"="1"', ',"p.q"="1"')),
      of("histogram", grouped(name, '_bucket",le="+Inf",p_q="1"', ',p_q="1"')),
    ];
  });
  const asText = (page: string): string =>
    page.replaceAll(" unknown\n", " untyped\n").replaceAll(/(# TYPE ".*)" counter/g, '$1_total" counter');

  /** Any two of them on one source's page, and on two. */
  function pairs(units: readonly Unit[]): readonly Page[] {
    return units.flatMap(([firstSeries, first]) =>
      units.flatMap(([secondSeries, second]) => {
        const [one, two] = [first.replaceAll("V", "1"), second.replaceAll("V", "2")];
        const apart = [
          [open(one), open(two)],
          [text(asText(one)), text(asText(two))],
          [text(asText(one)), open(two)],
        ];
        const together = firstSeries === secondSeries ? [] : [[open(one + two)], [text(asText(one + two))]];
        return [...apart, ...together].flatMap((sources) =>
          forms.map((form): Page => ({ sources, form, escaping: "underscores" })),
        );
      }),
    );
  }

  test.skipIf(withoutGo !== undefined).each([
    ["lines", lines],
    ["families", families],
  ])(`are one, whatever two %s these are; nothing is lost without a word ${withoutGo ?? ""}`, async (_, units) => {
    expect(await faults(pairs(units))).toEqual([]);
  });
});

describe("a series that a source repeats inside one family", () => {
  const small = 'a{x="1"} 1\na{x="2"} 2\na{x="1"} 3\n';
  const large = `${small}${'a{x="1"} 4\n'.repeat(2_000)}`;

  test.each([
    ["small", small],
    ["large", large],
  ])("is its own business, and passed on: %s", (_, page) => {
    const merged = mergeOf({ sources: [text(page), text("next 1\n")], form: "text", escaping: "underscores" });
    expect(reasonsOf(merged)).toEqual([{}, {}]);
    expect(merged.page).toBe(`# TYPE a untyped\n${page}# TYPE next untyped\nnext 1\n`);
  });

  test("also beside what joins it; what joins may not repeat it", () => {
    const sources = [text(small), text('a{x="1"} 5\na{x="3"} 6\na{x="3"} 7\n')];
    const merged = mergeOf({ sources, form: "text", escaping: "underscores" });
    expect(samplesOn(merged)).toEqual(['a{x="1"} 1', 'a{x="2"} 2', 'a{x="1"} 3', 'a{x="3"} 6', 'a{x="3"} 7']);
    expect(reasonsOf(merged)).toEqual([{}, { duplicate: 1 }]);
  });
});
