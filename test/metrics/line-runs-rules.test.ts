import { describe, expect, test } from "vitest";
import { giveRoomBack, type LineRuns, ROOM_START, takeRoom } from "../../src/metrics/line-runs/line-room.ts";
import { LineScan } from "../../src/metrics/line-scan.ts";
import { Chance } from "./generated-pages.ts";

/** Calls with a page in the room; the result is the place that the runs gave, counted from the page's beginning. */
function inRoom(page: string, call: (runs: LineRuns, start: number, end: number, bytes: Buffer) => number): number {
  const room = takeRoom();
  try {
    if (room.runs === undefined) throw new Error("there is no WebAssembly here");
    const length = room.bytes.write(page, ROOM_START);
    return call(room.runs, ROOM_START, ROOM_START + length, room.bytes) - ROOM_START;
  } finally {
    giveRoomBack(room);
  }
}

const alike = (page: string, count: 0 | 1): number =>
  inRoom(page, (runs, start, end) => runs.alike(start, start + page.indexOf("\n") + 1, end, count));
const family = (page: string, count: 0 | 1 = 1): number =>
  inRoom(page, (runs, start, end) => runs.family(start, end, count));
const histograms = (page: string): number =>
  inRoom(page, (runs, start, end, bytes) => {
    const scan = new LineScan();
    scan.begin(bytes);
    expect(scan.scan(bytes, start, new Uint8Array(0))).toBe(true);
    const { labelsStart, pairStart, pairValue, pairEnd, labelsEnd } = scan;
    return runs.histograms(start, labelsStart, pairStart, pairValue, pairEnd, labelsEnd, end, 1);
  });

const first = 'm{a="1",b="2"} 5\n';
const next = "# TYPE other gauge\n";

describe("lines that are like the first", () => {
  test.each([
    ["another value, another number", 'm{a="x y",b=""} 7.25e-3\n', 1],
    ["not UTF-8's business", 'm{a="é",b="}{,"} 7\n', 1],
    ["another name", 'mm{a="1",b="2"} 5\n', 0],
    ["another label", 'm{a="1",c="2"} 5\n', 0],
    ["a label less", 'm{a="1"} 5\n', 0],
    ["a label more", 'm{a="1",b="2",c="3"} 5\n', 0],
    ["an escape", 'm{a="\\"",b="2"} 5\n', 0],
    ["a time", 'm{a="1",b="2"} 5 1700000000000\n', 0],
    ["no number", 'm{a="1",b="2"} x\n', 0],
    ["a number that is none", 'm{a="1",b="2"} 5.\n', 0],
    ["an exponent that a double has no place for", 'm{a="1",b="2"} 1e999\n', 0],
    ["two spaces", 'm{a="1",b="2"}  5\n', 0],
    ["an exemplar", 'm{a="1",b="2"} 5 # {} 1\n', 0],
    ["a carriage return", 'm{a="1",b="2"} 5\r\n', 0],
    ["negative", 'm{a="1",b="2"} -5\n', 1],
  ] as const)("%s", (_, line, taken) => {
    expect(alike(first + line, 0)).toBe(first.length + (taken === 1 ? Buffer.byteLength(line) : 0));
  });

  test("a counter is not negative", () => {
    expect(alike(`${first}m{a="1",b="2"} 6\nm{a="1",b="2"} -5\n`, 1)).toBe(2 * first.length);
  });
});

describe("lines that are like the first, with a time", () => {
  const timed = 'm{a="1",b="2"} 5 1700000000000\n';
  test.each([
    ["another time", 'm{a="3",b=""} 7.25e-3 0\n', 1],
    ["as long as may be", 'm{a="1",b="2"} 5 123456789012345\n', 1],
    ["longer", 'm{a="1",b="2"} 5 1234567890123456\n', 0],
    ["without", 'm{a="1",b="2"} 5\n', 0],
    ["none behind the space", 'm{a="1",b="2"} 5 \n', 0],
    ["with a sign", 'm{a="1",b="2"} 5 -1\n', 0],
    ["with a fraction", 'm{a="1",b="2"} 5 1.5\n', 0],
    ["and more", 'm{a="1",b="2"} 5 1 1\n', 0],
  ] as const)("%s", (_, line, taken) => {
    expect(alike(timed + line, 0)).toBe(timed.length + (taken === 1 ? line.length : 0));
  });
});

/** The lines as they are after it. */
function tidied(page: string): string {
  let text = "";
  inRoom(page, (runs, start, end, bytes) => {
    const to = runs.tidy(start, end);
    text = bytes.toString("utf8", start, to);
    return to;
  });
  return text;
}

describe("oddly spaced lines", () => {
  test.each([
    ["spaces between labels", 'm{a="1", b="2"} 5\n', 'm{a="1",b="2"} 5\n'],
    ["everywhere", 'm { a = "1 ,x" ,\tb= "2"  }   5   17  \n', 'm{a="1 ,x",b="2"} 5 17\n'],
    ["tabs", 'm{a="1"}\t5\t17\n', 'm{a="1"} 5 17\n'],
    ["no labels", "m  5\n", "m 5\n"],
    ["a carriage return", 'm{a="1"} 5\r\n', 'm{a="1"} 5\n'],
    ["with blanks before it", "m 5 \t\r\n", "m 5\n"],
    ["of comments and empty lines", "# TYPE m gauge\r\n\r\nm 5\n", "# TYPE m gauge\n\nm 5\n"],
    ["escapes and other alphabets", 'm{a="\\" , }é" , b="\\\\"} 5\n', 'm{a="\\" , }é",b="\\\\"} 5\n'],
    ["what no reader takes for a number", "m   x,y\n", "m x,y\n"],
  ])("%s", (_, page, tidy) => {
    const other = 'other{c="3"} 7\n';
    expect(tidied(page)).toBe(tidy);
    expect(tidied(other + page + other)).toBe(other + tidy + other);
  });

  test.each([
    ["right already", 'm{a="1",b="2"} 5 17\n'],
    ["a comma behind the last label", 'm{a="1", } 5\r\n'],
    ["braces without labels", "m{ }  5\n"],
    ["a quoted name", '{"m", a="1"}  5\n'],
    ["a quoted label", 'm{"a b" = "1"}  5\n'],
    ["an exemplar", 'm{a="1"}  5 # {} 1\n'],
    ["no blank before the number", 'm{ a="1"}5\n'],
    ["no number", 'm{ a="1"} \n'],
    ["a blank at the beginning", "  m 5\n"],
    ["a value without its end", 'm{ a="1} 5\n'],
    ["a value that ends with a backslash", 'm{ a="1\\\n'],
    ["two carriage returns", "m  5\r\r\n"],
    ["one in a number", "m  5\r 6\n"],
    ["a comment with two", "# HELP m x\r\r\n"],
    ["a value that seems to end on the next line", 'm{ a="1\\\n"} 5\n'],
    ["too much between the numbers", "m  5 6 7\n"],
    ["more parts than are noted", `m{${Array.from({ length: 200 }, (_, i) => `a${i} = "x"`).join(" , ")}} 5\n`],
  ])("stay as they are: %s", (_, page) => {
    const odd = 'other{ c="3"} 7\n';
    expect(tidied(odd + page + odd)).toBe(`other{c="3"} 7\n${page}other{c="3"} 7\n`);
  });

  test("whatever bytes there are: it never grows, and the number of lines stays", () => {
    for (let seed = 1; seed <= 3_000; seed++) {
      const chance = new Chance(seed);
      const parts = ["m", "{", "}", " ", "\t", "\r", ",", "=", '"', "\\", "a", "5", "\n", "#", "é", 'a="b"', "m{"];
      const page = `${Array.from({ length: chance.int(60) }, () => chance.of(parts)).join("")}\n`;
      const tidy = tidied(page);
      expect(tidy.length, page).toBeLessThanOrEqual(page.length);
      expect(tidy.split("\n").length, page).toBe(page.split("\n").length);
      expect(tidied(tidy), page).toBe(tidy);
    }
  });
});

describe("a whole counter or gauge", () => {
  test("every byte in every place of a name: only those of plain names are taken", () => {
    const wrong: string[] = [];
    for (let byte = 0; byte < 256; byte++) {
      for (const length of [1, 15, 16, 17, 33]) {
        for (const at of new Set([0, length >> 1, length - 1])) {
          const bytes = Buffer.alloc(length, "n");
          bytes[at] = byte;
          const name = bytes.toString("latin1");
          const page = `# TYPE ${name} gauge\n${name} 5\n${next}`;
          const plain = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name);
          const taken = inRoom(page, (runs, start, _end, room) => {
            room.write(page, start, "latin1");
            return runs.family(start, start + page.length, 1);
          });
          if (taken !== (plain ? page.length - next.length : 0)) wrong.push(`${byte} at ${at} of ${length}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  const line = 'm{a="1"} 5\n';
  const taken = `# TYPE m counter\n${line}${line}`;
  test.each([
    ["with what follows", taken + next],
    ["before a help", `${taken}# HELP other x\n`],
    ["without labels", `# TYPE m gauge\nm -5\n${next}`],
    ["with no labels in braces", `# TYPE m gauge\nm{} 5\n${next}`],
    ["with its help", `# HELP m Some hélp: 'x' #1\n${taken}${next}`],
  ])("%s", (_, page) => {
    const behind = Math.max(page.lastIndexOf("# TYPE other"), page.lastIndexOf("# HELP other"));
    expect(family(page)).toBe(Buffer.byteLength(page.slice(0, behind)));
  });

  test.each([
    ["nothing behind it", taken],
    ["a comment of no meaning behind it", `${taken}# x\n`],
    ["said again behind it", `${taken}# TYPE m counter\n`],
    ["something of no meaning announced behind it", `${taken}# TYPE other\n`],
    ["another family's line behind it", `${taken}x 1\n${next}`],
    ["another type", `# TYPE m histogram\n${line}${next}`],
    ["a type that begins like one", `# TYPE m counters\n${line}${next}`],
    ["spaces", `# TYPE  m counter\n${line}${next}`],
    ["another name than its line", `# TYPE mm counter\n${line}${next}`],
    ["a name that begins its line's", `# TYPE m counter\nm_x{a="1"} 5\n${next}`],
    ["a reserved label", `# TYPE m counter\nm{__a="1"} 5\n${next}`],
    ["a label twice", `# TYPE m counter\nm{a="1",b="2",a="3"} 5\n${next}`],
    ["a label that begins with a digit", `# TYPE m counter\nm{1a="1"} 5\n${next}`],
    ["a comma at the end", `# TYPE m counter\nm{a="1",} 5\n${next}`],
    ["an escape", `# TYPE m counter\nm{a="\\n"} 5\n${next}`],
    ["a negative counter", `# TYPE m counter\nm{a="1"} -5\n${next}`],
    ["a negative counter, later", `# TYPE m counter\n${line}m{a="1"} -5\n${next}`],
    ["a time", `# TYPE m counter\nm{a="1"} 5 1700000000000\n${next}`],
    ["a help of another family", `# HELP mm x\n${taken}${next}`],
    ["a help of a name that begins its own", `# HELP m_x x\n${taken}${next}`],
    ["an empty help", `# HELP m \n${taken}${next}`],
    ["a help with a quote", `# HELP m a "b"\n${taken}${next}`],
    ["a help with an escape", `# HELP m a\\nb\n${taken}${next}`],
    ["a help with a space behind it", `# HELP m x \n${taken}${next}`],
    ["a help with two spaces before it", `# HELP m  x\n${taken}${next}`],
    ["a help twice", `# HELP m x\n# HELP m x\n${taken}${next}`],
    ["a unit", `# HELP m x\n# UNIT m x\n${taken}${next}`],
    ["17 labels", `# TYPE m counter\nm{${Array.from({ length: 17 }, (_, i) => `l${i}=""`).join(",")}} 5\n${next}`],
  ])("is left alone with %s", (_, page) => {
    expect(family(page)).toBe(0);
  });
});

const group = (labels: string, { sum = "7.5", count = "3" } = {}): string =>
  `h_bucket{${labels}le="1"} 1\nh_bucket{${labels}le="2.5e+01"} 1\nh_bucket{${labels}le="+Inf"} 3\n` +
  `h_sum{${labels.slice(0, -1)}} ${sum}\nh_count{${labels.slice(0, -1)}} ${count}\n`;
const [one, two] = [group('a="1",'), group('a="2",')];

describe("groups of a histogram", () => {
  test.each([
    ["two, and something else", one + two + next, one.length + two.length],
    ["no labels beside le", `${group("")}${next}`, group("").length],
    ["the last one's end is not sure", one + two, one.length],
    ["the same labels again", one + one + next, 0],
    ["again in other words", `${one}${one.replace('{a="1",le="1"}', '{a="1", le="1"}')}${next}`, 0],
    ["more of the group", `${one}h_created{a="1"} 5\n${next}`, 0],
    ["told again what it is", `${one}# TYPE h histogram\n`, 0],
    ["buckets that fall", one.replace('25"', "").replace('"2.5e+01"} 1', '"2.5e+01"} 0') + next, 0],
    ["bounds that fall", one.replace("2.5e+01", "0.5") + next, 0],
    ["a bound that is no number", one.replace("2.5e+01", "x") + next, 0],
    ["a bound below nothing", one.replace('le="1"', 'le="-1"') + next, 0],
    ["no bucket for all", one.replace(/.*Inf.*\n/, "") + next, 0],
    ["a bucket behind that for all", one.replace(/(.*)\+Inf(.*\n)/, "$1+Inf$2$1+Inf$2") + next, 0],
    ["a count that is another", group('a="1",', { count: "4" }) + next, 0],
    ["half a count", group('a="1",', { count: "3.0" }) + next, 0],
    ["a sum below nothing", group('a="1",', { sum: "-1" }) + next, 0],
    ["no sum", one.replace(/.*_sum.*\n/, "") + next, 0],
    ["two sums", one.replace(/(.*_sum.*\n).*_count.*\n/, "$1$1") + next, 0],
    ["two counts", one.replace(/.*_sum.*\n(.*_count.*\n)/, "$1$1") + next, 0],
    ["a sum of another group", one.replace('h_sum{a="1"}', 'h_sum{a="2"}') + next, 0],
    ["a sum of another name", one.replace("h_sum", "g_sum") + next, 0],
    ["a bucket of another group among them", one.replace('h_bucket{a="1",le="2.5', 'h_bucket{a="2",le="2.5') + next, 0],
    ["a time", one.replace('h_sum{a="1"} 7.5', 'h_sum{a="1"} 7.5 1700000000000') + next, 0],
  ])("%s", (_, page, taken) => {
    expect(histograms(page)).toBe(taken);
  });

  test.each([
    ["first", 'h_bucket{le="1",a="1"} 1\nh_bucket{le="+Inf",a="1"} 1\nh_sum{a="1"} 1\nh_count{a="1"} 1\n'],
    [
      "in the middle",
      'h_bucket{a="1",le="1",b="2"} 1\nh_bucket{a="1",le="+Inf",b="2"} 1\nh_sum{a="1",b="2"} 1\nh_count{a="1",b="2"} 1\n',
    ],
  ])("le %s", (_, page) => {
    expect(histograms(page + page.replaceAll('a="1"', 'a="2"') + next)).toBe(2 * page.length);
  });
});
