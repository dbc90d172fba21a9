import { describe, expect, test } from "vitest";
import { exemplarEnd } from "../../src/metrics/exemplar-scan.ts";
import { parseLine, sampleLine } from "../../src/metrics/line-parse.ts";
import { Chance } from "./generated-pages.ts";
import { mergePages } from "./merge-pages.ts";
import { strictPage } from "./strict-page.ts";

const isFast = (exemplar: string): boolean => {
  const bytes = Buffer.from(`${exemplar}\n`);
  return exemplarEnd(bytes, 0) === bytes.length - 1;
};
/** The line as the patient reader writes it. */
function written(line: string): string | undefined {
  const sample = parseLine(line, "openmetrics");
  const spelling = { from: "openmetrics", to: "openmetrics", escaping: "underscores" } as const;
  return sample === undefined ? undefined : sampleLine(sample, spelling, true);
}

describe("the fast look takes", () => {
  test.each([
    ' # {trace_id="abc"} 0.5',
    ' # {trace_id="abc",span_id="é }{ ,"} 1e-3 1700000000.123',
    " # {} 5",
    ' # {a="1",b="2",c="3",d="4"} -1 5',
    ` # {a="${"x".repeat(127)}"} NaN`,
  ])("%s", (exemplar) => {
    expect(isFast(exemplar)).toBe(true);
    expect(written(`m_total 7${exemplar}`)).toBe(`m_total 7${exemplar}`);
  });
});

describe("it leaves to the patient reader", () => {
  test.each([
    ["spaces", ' #  {a="1"} 5'],
    ["no space before the number", ' # {a="1"}5'],
    ["no number", ' # {a="1"}'],
    ["a number that is none", ' # {a="1"} x'],
    ["a time that is none", ' # {a="1"} 5 x'],
    ["more behind it", ' # {a="1"} 5 6 7'],
    ["the same label twice", ' # {a="1",b="2",a="3"} 5'],
    ["a reserved label", ' # {__name__="1"} 5'],
    ["a digit at the beginning", ' # {1a="1"} 5'],
    ["a comma behind the last label", ' # {a="1",} 5'],
    ["an escape", ' # {a="\\n"} 5'],
    ["a value without its end", ' # {a="1} 5'],
    ["five labels", ' # {a="1",b="2",c="3",d="4",e="5"} 5'],
    ["too many letters", ` # {a="${"x".repeat(128)}"} 5`],
    ["too many letters together", ` # {a="${"x".repeat(64)}",b="${"x".repeat(64)}"} 5`],
  ])("%s", (_, exemplar) => {
    expect(isFast(exemplar)).toBe(false);
  });
});

test("what it takes is what the patient reader writes, whatever it is made of", () => {
  const parts = [
    " # {",
    'a="',
    'bc="',
    '"',
    '",',
    ",",
    "}",
    "} 5",
    " 7",
    " 1.5",
    " ",
    "{",
    "=",
    "é",
    "a",
    "_",
    "\\",
    "#",
  ];
  let taken = 0;
  for (let seed = 1; seed <= 60_000; seed++) {
    const chance = new Chance(seed);
    const tail = Array.from({ length: chance.int(9) }, () => chance.of(parts)).join("");
    const exemplar = ` # {${chance.of(["", 'a="x",', 'a="x"', '__a="', 'b="'])}${tail}`;
    if (!isFast(exemplar)) continue;
    taken++;
    expect(written(`m_total 7${exemplar}`)).toBe(`m_total 7${exemplar}`);
  }
  expect(taken).toBeGreaterThan(200);
});

describe("on a page", () => {
  const page = [
    "# TYPE h histogram",
    'h_bucket{le="1"} 1 # {trace_id="abc"} 0.5 1700000000.5',
    'h_bucket{le="+Inf"} 2 1700000001 # {trace_id="def"} 3',
    "h_count 2 1700000001",
    "h_sum 3.5 1700000001",
    "# TYPE c counter",
    'c_total{x="1"} 1 # {trace_id="abc"} 0.5',
    'c_total{x="3"} 2 # {trace_id="abc"} 0.5',
    "# TYPE g gauge",
    'g 5 # {trace_id="abc"} 0.5',
    "# EOF",
  ];
  const given = { form: "openmetrics", page: `${page.join("\n").replace("1 # {", "1 1700000001 # {")}\n` } as const;

  test("they stay where OpenMetrics allows them", () => {
    const { page: merged } = mergePages([given], "openmetrics");
    expect(strictPage(merged, "openmetrics")).toEqual([]);
    const lines = merged.split("\n");
    expect(lines).toContain('h_bucket{le="1"} 1 1700000001 # {trace_id="abc"} 0.5 1700000000.5');
    expect(lines).toContain('h_bucket{le="+Inf"} 2 1700000001 # {trace_id="def"} 3');
    expect(lines.filter((line) => line.startsWith("c_total"))).toEqual([page[6], page[7]]);
    expect(lines).toContain("g 5");
  });

  test("the text format has none", () => {
    const { page: merged } = mergePages([given], "text");
    expect(strictPage(merged, "text")).toEqual([]);
    expect(merged).not.toContain("trace_id");
    expect(merged.split("\n")).toContain('h_bucket{le="1"} 1 1700000001000');
  });

  test("nor may a page of that format", () => {
    const text = { form: "text", page: '# TYPE g gauge\ng 1\ng{a="1"} 5 # {trace_id="abc"} 0.5\n' } as const;
    const { page: merged, tallies } = mergePages([text], "openmetrics");
    expect(merged).toBe("# TYPE g gauge\ng 1\n# EOF\n");
    expect(tallies[0]?.dropped.get("syntax")).toBe(1);
  });
});
