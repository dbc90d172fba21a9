import { escapeName, type FamilyType, isPlainName, LF, type Output } from "./exposition.ts";
import { GroupCheck } from "./group-check.ts";
import type { HeldFamily } from "./held-family.ts";
import { labelList, readSample, type Sample, sampleLine } from "./line-parse.ts";
import { asUnknown, type Naming, type SampleKind } from "./naming.ts";
import { parseNumber } from "./numbers.ts";
import type { Tally } from "./tally.ts";

/** One family as it is written in the end. */
export interface Arranged {
  readonly naming: Naming;
  readonly lines: readonly Line[];
}

interface Line {
  readonly line: string;
  readonly tally: Tally;
}

interface Entry extends Line {
  readonly sample: Sample;
  readonly kind: SampleKind;
  readonly time: number | undefined;
}

/**
 * A held family that several sources gave, or that breaks a rule of its type: every sample is looked at. A series
 * counts once (the first source's). On an OpenMetrics page samples are sorted into their groups; if a rule of the type
 * is broken even so, the samples go out as families without a type, one for each sample name: nothing is lost but
 * the type.
 */
export function arrange(family: HeldFamily, output: Output): readonly Arranged[] {
  const entries = withoutRepetition(allEntries(family, output), output, family.escaped);
  if (entries.length === 0) return [];
  if (output.form === "text") return [{ naming: family.naming, lines: entries }];
  const groups = grouped(entries, family.naming);
  if (groups.every((group) => keepsRules(group, family.naming.type)))
    return [{ naming: family.naming, lines: groups.flat() }];
  return untyped(entries, output);
}

function* allEntries(family: HeldFamily, output: Output): Generator<Entry> {
  const parts = [{ tally: family.tally, lines: family.own }, ...family.joined];
  for (const { tally, lines } of parts) {
    const { bytes } = lines;
    for (let at = 0; at < bytes.length; ) {
      const end = bytes.indexOf(LF, at) + 1;
      const sample = readSample(bytes, at, end, output.form);
      at = end;
      const kind = sample === undefined ? undefined : kindOf(sample.name, family, output);
      if (sample === undefined || kind === undefined) tally.drop("syntax", 1);
      else {
        const line = sampleLine(sample, { from: output.form, to: output.form, escaping: output.escaping }, true);
        const time = sample.time === undefined ? undefined : Number(sample.time);
        yield { tally, sample, kind, time, line };
      }
    }
  }
}

/** By the name as the page spells it: the lines are in the page's form already. */
function kindOf(name: string, { naming, metadata }: HeldFamily, { escaping }: Output): SampleKind | undefined {
  const base = escapeName(metadata.name, escaping, isPlainName);
  const known = naming.suffixes.find(({ suffix }) => name === base + suffix)?.kind;
  return known ?? (name === `${naming.family}_created` ? "created" : undefined);
}

const seriesOf = (sample: Sample, without = ""): string => {
  const labels = sample.labels.filter(([name]) => name !== without);
  return labelList(
    [...labels].sort(([a], [b]) => (a < b ? -1 : 1)),
    "allow-utf-8",
  );
};

/**
 * The first of each series; in OpenMetrics a series may go on with later times, but not with and without one. On a text
 * page repetitions within one source are its own business, unless it is we who made one series of two.
 */
function withoutRepetition(all: Iterable<Entry>, output: Output, escaped: boolean): readonly Entry[] {
  const last = new Map<string, Entry>();
  const kept: Entry[] = [];
  for (const entry of all) {
    const series = `${entry.sample.name}{${seriesOf(entry.sample)}}`;
    const before = last.get(series);
    const later = before?.time !== undefined && entry.time !== undefined && entry.time > before.time;
    const ownBusiness = output.form === "text" && before?.tally === entry.tally && !escaped;
    if (before !== undefined && !later && !ownBusiness) {
      entry.tally.drop("duplicate", 1);
      continue;
    }
    last.set(series, entry);
    kept.push(entry);
  }
  return kept;
}

/** Samples of one group side by side, groups in the order in which they first appear. */
function grouped(entries: readonly Entry[], { type, family }: Naming): readonly (readonly Entry[])[] {
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    const special = type === "stateset" ? family : specialLabel(entry.kind);
    const key = type === "info" ? "" : seriesOf(entry.sample, special);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [entry]);
    else group.push(entry);
  }
  return [...groups.values()].map((group) => [...group].sort(byTimeThenKind));
}

const specialLabel = (kind: SampleKind): string => (kind === "bucket" ? "le" : kind === "quantile" ? "quantile" : "");

const order: Readonly<Record<SampleKind, number>> = {
  bucket: 0,
  quantile: 0,
  plain: 0,
  total: 0,
  info: 0,
  sum: 1,
  gsum: 1,
  count: 2,
  created: 3,
};

function byTimeThenKind(a: Entry, b: Entry): number {
  const time = (a.time ?? 0) - (b.time ?? 0);
  if (time !== 0) return time;
  return order[a.kind] - order[b.kind] || boundOf(a) - boundOf(b) || 0;
}

function boundOf({ sample, kind }: Entry): number {
  const text = sample.labels.find(([name]) => name === specialLabel(kind))?.[1];
  return (text === undefined ? undefined : parseNumber(text)) ?? Number.NaN;
}

function keepsRules(group: readonly Entry[], type: FamilyType): boolean {
  const times = new Set(group.map(({ time }) => time === undefined));
  if (times.size > 1) return false;
  const values = group.map((entry) => parseNumber(entry.sample.value) ?? Number.NaN);
  if (type === "stateset")
    return group.every(({ sample }, i) => (values[i] === 0 || values[i] === 1) && hasState(sample));
  if (type === "info") return group.every(({ time }, i) => values[i] === 1 && time === undefined);
  if (type === "counter") return group.every(({ kind }, i) => kind !== "total" || (values[i] ?? -1) >= 0);
  if (type === "gauge" || type === "unknown") return true;
  return checkedInTurn(group, values, type);
}

const hasState = ({ name, labels }: Sample): boolean => labels.some(([label]) => label === name);

/** The same checks as on lines that stream; a group of several times is several in turn. */
function checkedInTurn(group: readonly Entry[], values: readonly number[], type: FamilyType): boolean {
  const check = new GroupCheck(type);
  for (const [i, entry] of group.entries()) {
    if (check.isNew(1, entry.time)) {
      if (i > 0 && !check.finish()) return false;
      check.begin(1, entry.time);
    }
    check.add(entry.kind, boundOf(entry), values[i] ?? Number.NaN);
  }
  return check.finish();
}

/** One family without a type for each sample name; samples of one series in the order of their times. */
function untyped(entries: readonly Entry[], { escaping }: Output): readonly Arranged[] {
  const names = new Map<string, Entry[]>();
  for (const entry of entries) {
    const list = names.get(entry.sample.name);
    if (list === undefined) names.set(entry.sample.name, [entry]);
    else list.push(entry);
  }
  return [...names].map(([name, list]) => ({
    naming: asUnknown(name),
    lines: series(list).map((entry) => ({
      tally: entry.tally,
      // Exemplars are for counters and buckets only.
      line: sampleLine(entry.sample, { from: "openmetrics", to: "openmetrics", escaping }, false),
    })),
  }));
}

/** Of each series, those with a time if the first has one, else the first; the rest is dropped. */
function series(list: readonly Entry[]): readonly Entry[] {
  const bySeries = new Map<string, Entry[]>();
  for (const entry of list) {
    const key = seriesOf(entry.sample);
    const before = bySeries.get(key);
    if (before === undefined) bySeries.set(key, [entry]);
    else if (entry.time === undefined || before[0]?.time === undefined) entry.tally.drop("duplicate", 1);
    else before.push(entry);
  }
  return [...bySeries.values()].flat();
}
