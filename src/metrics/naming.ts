import { type Escaping, escapeName, type FamilyType, type Form, isPlainName, type Metadata } from "./exposition.ts";

/** What a sample is within its family; decides which checks apply. */
export type SampleKind = "plain" | "total" | "bucket" | "sum" | "count" | "gsum" | "created" | "quantile" | "info";

/** Where samples go whose name is the family's name and `suffix`. */
export interface Suffix {
  readonly suffix: string;
  readonly kind: SampleKind;
  /** Undefined: into the family itself; else a family of its own, for what the other form keeps in one. */
  readonly side: string | undefined;
}

/** How one family of a source goes out. Series never change their name; only what is said above them does. */
export interface Naming {
  /** The name behind HELP and TYPE. */
  readonly family: string;
  /** As the page spells it: `counter`, `untyped`, `unknown`, … */
  readonly typeWord: string;
  readonly type: FamilyType;
  readonly suffixes: readonly Suffix[];
  /** Names that nothing else on the page may use. */
  readonly claims: readonly string[];
}

const inside = (...list: readonly (readonly [string, SampleKind])[]): readonly Suffix[] =>
  list.map(([suffix, kind]) => ({ suffix, kind, side: undefined }));

const openMetricsSuffixes: Readonly<Record<FamilyType, readonly Suffix[]>> = {
  counter: inside(["_total", "total"], ["_created", "created"]),
  gauge: inside(["", "plain"]),
  unknown: inside(["", "plain"]),
  histogram: inside(["_bucket", "bucket"], ["_sum", "sum"], ["_count", "count"], ["_created", "created"]),
  summary: inside(["", "quantile"], ["_sum", "sum"], ["_count", "count"], ["_created", "created"]),
  info: inside(["_info", "info"]),
  stateset: inside(["", "plain"]),
  gaugehistogram: inside(["_bucket", "bucket"], ["_gcount", "count"], ["_gsum", "gsum"]),
};

const plainSuffixes = inside(["", "plain"]);
const countSuffixes = inside(["", "total"]);
const withoutTimes = {
  histogram: openMetricsSuffixes.histogram.filter(({ kind }) => kind !== "created"),
  summary: openMetricsSuffixes.summary.filter(({ kind }) => kind !== "created"),
};

/** Suffixes that belong to a type in the text format; there a counter's name is its sample's name. */
function textSuffixes(type: FamilyType): readonly Suffix[] {
  if (type === "histogram" || type === "summary") return withoutTimes[type];
  return type === "counter" ? countSuffixes : plainSuffixes;
}

/** How a family that a source gives in the form `from` is named on a page of the form `to`. */
export function nameFamily(metadata: Metadata, from: Form, to: Form, escaping: Escaping): Naming {
  const of = from === "text" ? fromText(metadata, to) : fromOpenMetrics(metadata, to);
  // Most names are.
  if (isPlainName(metadata.name)) return of;
  const out = (name: string): string => escapeName(name, escaping, isPlainName);
  return {
    ...of,
    family: out(of.family),
    suffixes: of.suffixes.map((one) => ({ ...one, side: one.side === undefined ? undefined : out(one.side) })),
    claims: of.claims.map(out),
  };
}

function fromText({ name, type }: Metadata, to: Form): Naming {
  const known: FamilyType = ["counter", "gauge", "histogram", "summary"].includes(type) ? type : "unknown";
  const suffixes = textSuffixes(known);
  if (to === "text") {
    const claims = suffixes.length === 1 ? [name] : namesWith(name, suffixes);
    return { family: name, type: known, typeWord: textWord(known), suffixes, claims };
  }
  if (known === "counter" && (!name.endsWith("_total") || name === "_total")) return asUnknown(name);
  const family = known === "counter" ? name.slice(0, -"_total".length) : name;
  return { family, type: known, typeWord: known, suffixes, claims: openMetricsClaims(family, known) };
}

function fromOpenMetrics({ name, type }: Metadata, to: Form): Naming {
  const list = openMetricsSuffixes[type];
  if (to === "openmetrics")
    return { family: name, type, typeWord: type, suffixes: list, claims: openMetricsClaims(name, type) };
  const main = list[0]?.suffix ?? "";
  const joined = type === "histogram" || type === "summary";
  const family = joined ? name : name + main;
  const suffixes = list.map(({ suffix, kind }) => {
    const stays = joined ? kind !== "created" : suffix === main;
    return { suffix, kind, side: stays ? undefined : name + suffix };
  });
  const own = joined || type === "counter" || type === "gauge" || type === "unknown" ? type : "gauge";
  const claims = unique([family, ...suffixes.map((one) => name + one.suffix)]);
  return { family, type: own, typeWord: textWord(own), suffixes, claims };
}

/** A family of which nothing is said: every reader takes it, and its series keep their name. */
export function asUnknown(name: string): Naming {
  return { family: name, type: "unknown", typeWord: "unknown", suffixes: plainSuffixes, claims: [name] };
}

const textWord = (type: FamilyType): string => (type === "unknown" ? "untyped" : type);
const unique = (names: readonly string[]): readonly string[] => [...new Set(names)];

/** A strict reader of OpenMetrics refuses a page on which one family's sample names are another's name. */
function openMetricsClaims(family: string, type: FamilyType): readonly string[] {
  if (type === "gauge" || type === "unknown" || type === "stateset") return [family];
  return namesWith(family, openMetricsSuffixes[type]);
}

/** The name itself, and with each suffix. */
function namesWith(name: string, suffixes: readonly Suffix[]): readonly string[] {
  const names = [name];
  for (const { suffix } of suffixes) if (suffix !== "") names.push(name + suffix);
  return names;
}

/** Types whose samples belong together in groups, so that OpenMetrics has rules beyond the single line. */
export const isGrouped = (type: FamilyType): boolean =>
  type === "histogram" || type === "summary" || type === "gaugehistogram";
