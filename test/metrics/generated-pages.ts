import type { Form } from "../../src/metrics/exposition.ts";
import type { Given } from "./merge-pages.ts";

/** A small generator of numbers, so that a failing case is told by its seed alone (mulberry32). */
export class Chance {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  /** 0 to 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }
  /** 0 to `below` - 1. */
  int(below: number): number {
    return Math.floor(this.next() * below);
  }
  of<T>(list: readonly T[]): T {
    return list[this.int(list.length)] as T;
  }
  yes(probability: number): boolean {
    return this.next() < probability;
  }
}

/** How the sources' pages relate: each fine by itself, names that clash, or bytes thrown in. */
export type Temper = "valid" | "colliding" | "hostile";

export function generatedSources(chance: Chance, temper: Temper): readonly Given[] {
  const count = 1 + chance.int(3);
  return Array.from({ length: count }, (_, index) => {
    const form: Form = chance.yes(0.5) ? "text" : "openmetrics";
    const names = temper === "valid" ? [`s${index}_a`, `s${index}_b`, `s${index}_c`, `s${index}_d`] : clashing;
    const page = Buffer.from(generatedPage(chance, form, names));
    const given: Given = {
      label: `s${index}`,
      form: temper === "hostile" && chance.yes(0.3) ? chance.of(["text", "openmetrics"]) : form,
      page: temper === "hostile" ? spoiled(chance, page) : page,
      pieces: Array.from({ length: 1 + chance.int(4) }, () => 1 + chance.int(chance.of([3, 50, 400, 65_536]))),
      hold: chance.yes(0.8),
    };
    return given;
  });
}

const clashing = ["a", "a_total", "a_count", "a_bucket", "b", "b_created", "b_info", "c", "c_sum", "ü.x"];
const textTypes = ["counter", "gauge", "histogram", "summary", "untyped"];
const openTypes = ["counter", "gauge", "histogram", "summary", "unknown", "info", "stateset", "gaugehistogram"];

/** A page on which every family is right by its form's rules. */
export function generatedPage(chance: Chance, form: Form, names: readonly string[]): string {
  const left = [...names];
  const families = 1 + chance.int(left.length);
  let page = "";
  const taken = new Set<string>();
  for (let i = 0; i < families; i++) {
    const [name = "x"] = left.splice(chance.int(left.length), 1);
    const type = chance.of(form === "text" ? textTypes : openTypes);
    const lines = family(chance, form, name, type);
    const used = ["", "_total", "_created", "_bucket", "_sum", "_count", "_gcount", "_gsum", "_info"].map(
      (s) => name + s,
    );
    if (used.some((one) => taken.has(one))) continue;
    for (const one of used) taken.add(one);
    page += lines;
  }
  return form === "text" ? page : `${page}# EOF\n`;
}

const quoted = (name: string): string => (/^[a-z_]+[a-z0-9_]*$/.test(name) ? name : JSON.stringify(name));

/** `name{labels}`, the way it must be for this name. */
const series = (name: string, labels: string): string => {
  if (quoted(name) !== name) return `{${[quoted(name), ...(labels === "" ? [] : [labels])].join(",")}}`;
  return labels === "" ? name : `${name}{${labels}}`;
};

function family(chance: Chance, form: Form, name: string, type: string): string {
  const open = form === "openmetrics";
  const sample = form === "text" && type === "counter" && chance.yes(0.5) ? `${name}_total` : name;
  let page = chance.yes(0.5)
    ? `# HELP ${quoted(sample)} Some ${chance.of(["help", 'a \\"b\\"', "\\\\ \\n", "ü"])}\n`
    : "";
  if (type !== "untyped" || chance.yes(0.5)) page += `# TYPE ${quoted(sample)} ${type}\n`;
  const groups = 1 + chance.int(chance.yes(0.05) ? 300 : 3);
  for (let i = 0; i < groups; i++)
    page += group(chance, open, sample, type, groups === 1 ? "" : `g="${i}"${moreLabels(chance)}`);
  return page;
}

const moreLabels = (chance: Chance): string =>
  chance.yes(0.5) ? "" : `,x="${chance.of(["1", "a b", '\\"', "\\\\", "\\n", "}", "{", "# EOF", "ü€😀", ",", "="])}"`;

/** The samples of one set of labels; all with a time or all without. */
function group(chance: Chance, open: boolean, name: string, type: string, labels: string): string {
  const time = chance.yes(0.15) ? (open ? ` 170000000${chance.int(10)}.5` : ` 170000000${chance.int(10)}123`) : "";
  const exemplar = open && chance.yes(0.2) ? ' # {trace_id="abc"} 0.5 1700000000.5' : "";
  const with_ = (more: string): string => [labels, more].filter((one) => one !== "").join(",");
  const line = (suffix: string, more: string, value: number | string, tail = ""): string =>
    `${series(name + suffix, with_(more))} ${value}${time}${tail}\n`;
  const amount = chance.of([0, 1, 17, 2.5, "1e3", "+Inf", 123456789]);
  switch (type) {
    case "counter":
      if (!open) return line("", "", amount);
      return line("_total", "", amount, exemplar) + (chance.yes(0.5) ? line("_created", "", 1.7e9) : "");
    case "histogram":
    case "gaugehistogram": {
      const [one, two] = [chance.int(5), 5 + chance.int(5)];
      const buckets =
        line("_bucket", 'le="0.5"', one) + line("_bucket", 'le="2"', one) + line("_bucket", 'le="+Inf"', two, exemplar);
      if (type === "gaugehistogram") return buckets + line("_gcount", "", two) + line("_gsum", "", 3);
      return (
        buckets +
        line("_sum", "", 3.5) +
        line("_count", "", two) +
        (open && chance.yes(0.3) ? line("_created", "", 1.7e9) : "")
      );
    }
    case "summary":
      return line("", 'quantile="0.5"', chance.of([1, "NaN"])) + line("_sum", "", 3) + line("_count", "", 2);
    case "info":
      // OpenMetrics has no times on these that a strict reader would take.
      return `${series(`${name}_info`, with_('version="1"'))} 1\n`;
    case "stateset":
      return ["on", "off"].map((state, i) => `${series(name, with_(`${quoted(name)}="${state}"`))} ${i}\n`).join("");
    default:
      return line("", "", chance.of([amount, "NaN", -4, "-Inf", "-1.5e-7"]));
  }
}

const rubbish: readonly (string | Buffer)[] = [
  "\0",
  "\n",
  "\n\n",
  "\r\n",
  '"',
  "\\",
  "{",
  "}",
  ",",
  " ",
  "#",
  "# ",
  "# EOF\n",
  "# TYPE a histogram\n",
  "# TYPE a_total counter\n",
  "# HELP",
  "-",
  "NaN",
  "1e999",
  "a 1\n",
  'a{le="1"} 1\n',
  "a_bucket 1\n",
  'a_bucket{le="+Inf"} 3\n',
  "__name__",
  '__x="1"',
  Buffer.from([0xff]),
  Buffer.from([0xc3]),
  Buffer.from([0xe2, 0x82]),
  "<html>",
  "x".repeat(300),
];

/** Bytes changed, cut out, doubled, thrown in; sometimes the end is missing. */
export function spoiled(chance: Chance, page: Buffer): Buffer {
  let bytes = page;
  for (let i = chance.int(6); i > 0; i--) {
    const at = chance.int(bytes.length + 1);
    const to = Math.min(bytes.length, at + chance.int(30));
    const piece = Buffer.from(chance.of(rubbish));
    const middle = chance.of([piece, Buffer.alloc(0), Buffer.concat([bytes.subarray(at, to), bytes.subarray(at, to)])]);
    bytes = Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(chance.yes(0.5) ? at : to)]);
  }
  return chance.yes(0.2) ? bytes.subarray(0, chance.int(bytes.length + 1)) : bytes;
}
