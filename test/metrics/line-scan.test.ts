import { expect, test } from "vitest";
import { parseLine } from "../../src/metrics/line-parse.ts";
import { LineScan } from "../../src/metrics/line-scan.ts";
import { Chance } from "./generated-pages.ts";

const CASES = 3_000;
const none = new Uint8Array(0);
const letters = [
  ...Array.from('abl_e"\\,=n{} 1.0-\n#é'),
  "\t",
  "le=",
  "quantile=",
  "__name__=",
  "__a=",
  '="',
  '",',
  '"}',
];

/** Lines as a page has them: each is the one before with some places changed, so that much of it is the same. */
function likeLines(chance: Chance): readonly string[] {
  const labels = Array.from(
    { length: chance.int(4) },
    (_, i) => `${chance.of(["a", "le", "bb", "c"])}${i || ""}="v${i}"`,
  );
  let line = `${chance.of(["a", "metric_x", "m_bucket"])}${labels.length > 0 ? `{${labels.join(",")}}` : ""} 1`;
  return Array.from({ length: 2 + chance.int(6) }, () => {
    for (let i = chance.int(3); i > 0; i--) line = changed(chance, line);
    return line;
  });
}

function changed(chance: Chance, line: string): string {
  // Most often another number, as on a real page; else anything.
  const digits = [...line.matchAll(/\d+/g)];
  const number = chance.of(digits);
  if (number !== undefined && chance.yes(0.7))
    return `${line.slice(0, number.index)}${chance.int(2_000)}${line.slice(number.index + number[0].length)}`;
  const at = chance.int(line.length + 1);
  const to = chance.yes(0.4) ? at : Math.min(line.length, at + chance.int(4));
  const inside = Array.from({ length: chance.int(4) }, () =>
    chance.yes(0.6) ? String(chance.int(1000)) : chance.of(letters),
  );
  return `${line.slice(0, at)}${inside.join("").replaceAll("\n", chance.yes(0.1) ? "\n" : "")}${line.slice(to)}`;
}

/** Everything that the scan found out, as places in the line. */
function found(scan: LineScan, ok: boolean, at: number): unknown {
  if (!ok) return "not plain";
  const { nameEnd, labelsStart, labelsEnd, valueStart, valueEnd, end, prefixed, bare, trailingComma, reserved } = scan;
  const { timeStart, pair, pairStart, pairValue, pairEnd } = scan;
  return {
    places: [nameEnd, labelsStart, labelsEnd, valueStart, valueEnd, end].map((one) => one - at),
    time: timeStart === 0 ? "" : timeStart - at,
    said: [prefixed, bare, trailingComma, reserved],
    pair: pair === "" ? "" : [pair, pairStart - at, pairValue - at, pairEnd - at],
  };
}

test(`${CASES} runs of lines: what was found in the line before changes nothing, and the patient reader takes what is plain`, () => {
  let plain = 0;
  for (let seed = 1; seed <= CASES; seed++) {
    const chance = new Chance(seed);
    const bytes = Buffer.from(`${likeLines(chance).join("\n")}\n`);
    const name = /^[a-z_]+/.exec(bytes.toString("latin1"))?.[0] ?? "";
    const prefix = chance.yes(0.5) ? none : Buffer.from(name);
    const scan = new LineScan();
    scan.begin(bytes);
    for (let at = 0; at < bytes.length; at = bytes.indexOf(10, at) + 1) {
      const ok = scan.scan(bytes, at, prefix);
      const alone = new LineScan();
      alone.begin(bytes);
      const told = { seed, line: bytes.toString("utf8", at, bytes.indexOf(10, at)) };
      expect({ ...told, ...{ found: found(scan, ok, at) } }).toEqual({
        ...told,
        ...{ found: found(alone, alone.scan(bytes, at, prefix), at) },
      });
      if (!ok) continue;
      // Whatever passes here passes the patient reader, too, but for times that only one of the forms has.
      if (scan.timeStart === 0) expect({ ...told, read: parseLine(told.line, "text") }).toHaveProperty("read.name");
      plain++;
    }
  }
  expect(plain).toBeGreaterThan(CASES);
});

test("the metric's name as a label is not plain", () => {
  const bytes = Buffer.from('a{b="1"} 1\na{b="1",__name__="x"} 1\n');
  const scan = new LineScan();
  scan.begin(bytes);
  expect(scan.scan(bytes, 0, none)).toBe(true);
  expect(scan.scan(bytes, scan.end + 1, none)).toBe(false);
});
