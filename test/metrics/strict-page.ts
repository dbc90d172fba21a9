import type { Form } from "../../src/metrics/exposition.ts";

/**
 * A strict reader of both forms, written for the tests straight from the formats' rules and without any line of the
 * code under test: regular expressions over whole lines, all families in memory. Returns what is wrong.
 */
export function strictPage(page: string, form: Form): string[] {
  return new StrictReader(form).read(page);
}

/** Samples of a page: lines that are neither blank nor a comment. */
export const sampleCount = (page: string): number =>
  page.split("\n").filter((line) => line !== "" && !line.startsWith("#")).length;

interface Family {
  readonly name: string;
  type: string;
  readonly said: Set<string>;
  readonly lines: Line[];
}

interface Line {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
  readonly time: number | undefined;
}

const value = String.raw`"(?:[^"\\\n]|\\["\\n])*"`;
const label = `(?:[a-zA-Z_][a-zA-Z0-9_]*|${value})=${value}`;
const labels = `(?:${label}(?:,${label})*)?`;
const number = String.raw`(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|NaN|[+-]Inf)`;
const plainName = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const head = String.raw`(?:(${plainName})(?:\{(${labels})(,?)\})?|\{(${value})((?:,${label})*)\})`;
const sampleLines: Readonly<Record<Form, RegExp>> = {
  text: new RegExp(String.raw`^${head} (${number})(?: (\d{1,18}))?$`),
  openmetrics: new RegExp(
    String.raw`^${head} (${number})(?: (-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?))?( # \{(${labels})\} ${number}(?: -?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)?)?$`,
  ),
};

/** A help text may hold a carriage return: nothing but the line feed ends it. */
const metadataLine = new RegExp(`^# (HELP|TYPE|UNIT) (${plainName}|${value}) (.*)$`, "s");
const onePair = new RegExp(`([a-zA-Z_][a-zA-Z0-9_]*|${value})=(${value})`, "g");

const suffixes: Readonly<Record<Form, Readonly<Record<string, readonly string[]>>>> = {
  text: {
    counter: [""],
    gauge: [""],
    untyped: [""],
    histogram: ["_bucket", "_sum", "_count"],
    summary: ["", "_sum", "_count"],
  },
  openmetrics: {
    counter: ["_total", "_created"],
    gauge: [""],
    unknown: [""],
    histogram: ["_bucket", "_sum", "_count", "_created"],
    summary: ["", "_sum", "_count", "_created"],
    info: ["_info"],
    stateset: [""],
    gaugehistogram: ["_bucket", "_gcount", "_gsum"],
  },
};

class StrictReader {
  readonly #form: Form;
  readonly #wrong: string[] = [];
  readonly #taken = new Set<string>();
  #family: Family | undefined;

  constructor(form: Form) {
    this.#form = form;
  }

  read(page: string): string[] {
    if (page !== "" && !page.endsWith("\n")) this.#wrong.push("the last line has no line feed");
    if (page.includes("\0") || page.includes("\uFFFD")) this.#wrong.push("NUL or not UTF-8");
    const lines = page.split("\n").slice(0, -1);
    const open = this.#form === "openmetrics";
    if (open && lines.pop() !== "# EOF") this.#wrong.push("no # EOF at the end");
    for (const line of lines) {
      if (line === "") this.#wrong.push("a blank line");
      else if (line.startsWith("#")) this.#metadata(line);
      else this.#sample(line);
    }
    this.#close();
    return this.#wrong;
  }

  #metadata(line: string): void {
    const found = metadataLine.exec(line);
    if (found === null) return void this.#wrong.push(`not metadata: ${line}`);
    const [, what = "", written = "", rest = ""] = found;
    const name = written.startsWith('"') ? (JSON.parse(written) as string) : written;
    if (this.#family?.name !== name) this.#start(name, this.#form === "text" ? "untyped" : "unknown");
    const family = this.#family as unknown as Family;
    if (family.said.has(what)) this.#wrong.push(`second ${what}: ${line}`);
    if (family.lines.length > 0) this.#wrong.push(`metadata after samples: ${line}`);
    family.said.add(what);
    if (what === "TYPE") family.type = rest;
    if (what === "TYPE" && suffixes[this.#form][rest] === undefined) this.#wrong.push(`unknown type: ${line}`);
    if (what === "UNIT" && (this.#form === "text" || !name.endsWith(`_${rest}`))) this.#wrong.push(`unit: ${line}`);
  }

  #start(name: string, type: string): void {
    this.#close();
    this.#family = { name, type, said: new Set(), lines: [] };
  }

  #close(): void {
    const family = this.#family;
    if (family === undefined) return;
    if (family.lines.length === 0) this.#wrong.push(`a family without samples: ${family.name}`);
    const own = suffixes[this.#form][family.type] ?? [""];
    const all = this.#form === "openmetrics" ? ["", ...own] : family.type === "histogram" ? ["", ...own] : own;
    for (const name of new Set(all.map((one) => family.name + one))) {
      if (this.#taken.has(name)) this.#wrong.push(`the name ${name} is there twice`);
      this.#taken.add(name);
    }
    if (this.#form === "openmetrics") this.#rules(family);
  }

  #sample(line: string): void {
    const found = sampleLines[this.#form].exec(line);
    if (found === null) return void this.#wrong.push(`not a sample: ${line}`);
    const [, plain, inside = "", comma = "", quoted, behind = "", text = "", time, exemplar] = found;
    if (comma !== "" && (this.#form === "openmetrics" || inside === "")) this.#wrong.push(`comma: ${line}`);
    const name = plain ?? (JSON.parse(quoted ?? '""') as string);
    const map = this.#labels(plain === undefined ? behind.slice(1) : inside, line);
    const known = suffixes[this.#form][this.#family?.type ?? ""] ?? [];
    const fits = known.some((suffix) => `${this.#family?.name}${suffix}` === name);
    if (!fits) this.#wrong.push(`no TYPE above: ${line}`);
    const suffix = name.slice(this.#family?.name.length);
    if (exemplar !== undefined && suffix !== "_bucket" && suffix !== "_total") this.#wrong.push(`exemplar: ${line}`);
    const amount = text === "NaN" ? Number.NaN : Number(text.replace("Inf", "Infinity"));
    if (!/Inf|NaN/.test(text) && !Number.isFinite(amount)) this.#wrong.push(`too large: ${line}`);
    this.#family?.lines.push({ name, labels: map, value: amount, time: time === undefined ? undefined : Number(time) });
  }

  #labels(text: string, line: string): ReadonlyMap<string, string> {
    const map = new Map<string, string>();
    for (const found of text.matchAll(onePair)) {
      const [, written = "", content = ""] = found;
      const name = written.startsWith('"') ? (JSON.parse(written) as string) : written;
      if (map.has(name) || name === "__name__") this.#wrong.push(`label ${name}: ${line}`);
      if (this.#form === "openmetrics" && name.startsWith("__")) this.#wrong.push(`reserved label: ${line}`);
      map.set(name, JSON.parse(content) as string);
    }
    return map;
  }

  /** OpenMetrics' rules for the types. */
  #rules({ name, type, lines }: Family): void {
    const bad = (what: string): void => void this.#wrong.push(`${what}: ${name}`);
    for (const { name: full, value: amount, labels: map } of lines) {
      const suffix = full.slice(name.length);
      const counts = ["_total", "_sum", "_count", "_bucket", "_gcount"].includes(suffix) && type !== "unknown";
      if (counts && !(amount >= 0)) bad(`negative or NaN ${suffix}`);
      if (suffix === "_gsum" && Number.isNaN(amount)) bad("NaN _gsum");
      if (["_count", "_bucket", "_gcount"].includes(suffix) && type !== "unknown" && !Number.isInteger(amount))
        bad(`fraction in ${suffix}`);
      if (type === "info" && amount !== 1) bad("info is not 1");
      if (type === "stateset" && ((amount !== 0 && amount !== 1) || !map.has(name))) bad("state set");
      if (type === "summary" && suffix === "") {
        const quantile = Number(map.get("quantile") ?? Number.NaN);
        if (!(quantile >= 0 && quantile <= 1) || amount < 0) bad("quantile");
      }
    }
    if (["histogram", "gaugehistogram", "summary", "stateset"].includes(type)) this.#groups(name, type, lines);
  }

  #groups(name: string, type: string, lines: readonly Line[]): void {
    const seen = new Set<string>();
    let key = "";
    let group: Line[] = [];
    const finish = (): void => {
      if (group.length > 0 && type.endsWith("histogram")) this.#histogram(name, group);
      group = [];
    };
    for (const line of lines) {
      const special =
        line.name === `${name}_bucket` && type !== "summary" ? "le" : type === "stateset" ? name : "quantile";
      const own = [...line.labels].filter(([one]) => one !== special || (type === "summary" && line.name !== name));
      const labelsKey = JSON.stringify(own.sort(([a], [b]) => (a < b ? -1 : 1)));
      if (labelsKey !== key && seen.has(labelsKey)) this.#wrong.push(`groups are mixed: ${name}`);
      const before = group.at(-1);
      if (labelsKey === key && before !== undefined) {
        if ((before.time === undefined) !== (line.time === undefined)) this.#wrong.push(`times are mixed: ${name}`);
        if ((line.time ?? 0) < (before.time ?? 0)) this.#wrong.push(`times go back: ${name}`);
      }
      if (labelsKey !== key || before?.time !== line.time) finish();
      key = labelsKey;
      seen.add(key);
      group.push(line);
    }
    finish();
  }

  #histogram(name: string, group: readonly Line[]): void {
    const bad = (what: string): void => void this.#wrong.push(`${what}: ${name}`);
    const of = (suffix: string): Line | undefined => group.find((line) => line.name === name + suffix);
    const buckets = group.filter((line) => line.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels: map }) => Number((map.get("le") ?? "NaN").replace("Inf", "Infinity")));
    if (bounds.at(-1) !== Number.POSITIVE_INFINITY) bad("no +Inf bucket at the end");
    for (let i = 1; i < buckets.length; i++) {
      if (!((bounds[i] ?? 0) > (bounds[i - 1] ?? 0))) bad("buckets out of order");
      if ((buckets[i]?.value ?? 0) < (buckets[i - 1]?.value ?? 0)) bad("bucket values fall");
    }
    const count = of("_count") ?? of("_gcount");
    const sum = of("_sum") ?? of("_gsum");
    if (count !== undefined && count.value !== buckets.at(-1)?.value) bad("count is not the +Inf bucket");
    if ((count === undefined) !== (sum === undefined)) bad("sum without count, or count without sum");
    const negative = bounds.some((bound) => bound < 0);
    if (negative && of("_sum") !== undefined) bad("sum with negative buckets");
    if (!negative && (of("_gsum")?.value ?? 0) < 0) bad("negative gsum");
  }
}
