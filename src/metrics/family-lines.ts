import { type Escaping, type Form, isPlainName, type Metadata } from "./exposition.ts";
import { GroupCheck, LabelHash } from "./group-check.ts";
import { labelList, type Sample, sampleLine, timeFits } from "./line-parse.ts";
import type { Found, LineRuns } from "./line-runs/line-room.ts";
import type { LineScan } from "./line-scan.ts";
import { isGrouped, type Naming, type Suffix } from "./naming.ts";
import { numberEnd, numberIn, parseNumber } from "./numbers.ts";
import { boundIn, boundOf, hasLabel, isCount, isPlainSample, pairOf } from "./sample-rules.ts";
import { LineStore, type Sink } from "./sinks.ts";
import type { Tally } from "./tally.ts";

/** Of a suffix, its bytes: there are a dozen, and families by the thousand. */
const suffixBytes = new Map<string, Uint8Array>();
function bytesOf(suffix: string): Uint8Array {
  const known = suffixBytes.get(suffix);
  if (known !== undefined) return known;
  const bytes = Buffer.from(suffix);
  suffixBytes.set(suffix, bytes);
  return bytes;
}

/** What a family needs to know to take lines. */
export interface FamilyFacts {
  readonly naming: Naming;
  readonly metadata: Metadata;
  readonly tally: Tally;
  readonly sink: Sink;
  /** Form of the lines that come, and of the page. */
  readonly from: Form;
  readonly to: Form;
  readonly escaping: Escaping;
  /** Lines for another family that this one brings along (`_created` on a text page). */
  readonly side: (name: string, lines: LineStore) => void;
}

/** A group longer than this is not looked at as a whole; it does not go out. */
const LONGEST_GROUP = 256 * 1024;
/** What is set aside for a side family; the rest is dropped. */
const MOST_ASIDE = 64 * 1024;

/**
 * The lines of one family of one source, as they come: which belong to it, which must be written anew for the page's
 * form, which break a rule. Lines that may go out as they are stay where they are in the buffer until `flush` passes
 * the whole run on, so that most of a page is copied in large pieces.
 */
export class FamilyLines {
  readonly #facts: FamilyFacts;
  readonly #scan: LineScan;
  readonly #base: Uint8Array;
  readonly #suffixes: readonly Suffix[];
  readonly #grouped: boolean;
  readonly #checks: boolean;
  /** One sample name, no groups: a bare line may go out as it is, on OpenMetrics' pages a counter if it is not negative. */
  readonly #simple: boolean;
  readonly #counts: boolean;
  readonly #histograms: boolean;
  /** The line before was a bucket that was looked at by itself: its group is not in the usual form. */
  #amongBuckets = false;
  /** Only where there are groups: most families are small, and there are many. */
  readonly #group: GroupCheck;
  readonly #open: LineStore;
  #sides: Map<string, LineStore> | undefined;
  #groupFits = true;
  /** Lines of the run that were not passed on yet. */
  #lines = 0;

  constructor(facts: FamilyFacts, scan: LineScan) {
    this.#facts = facts;
    this.#scan = scan;
    const { naming, metadata, to, from } = facts;
    this.#base = isPlainName(metadata.name) ? Buffer.from(metadata.name) : matchesNothing;
    this.#suffixes = naming.suffixes;
    const created = from === "openmetrics" && naming.type === "counter";
    this.#grouped = to === "openmetrics" && (isGrouped(naming.type) || created || naming.type === "stateset");
    const loose = created || naming.type === "stateset";
    this.#group = this.#grouped ? new GroupCheck(loose ? "summary" : naming.type) : noGroup;
    this.#open = this.#grouped ? new LineStore() : noLines;
    this.#checks = to === "openmetrics" || isGrouped(naming.type);
    if (naming.type === "stateset" && to === "openmetrics") facts.sink.unclean();
    const only = naming.suffixes.length === 1 ? naming.suffixes[0] : undefined;
    this.#histograms = naming.type === "histogram";
    this.#counts = to === "openmetrics" && only?.kind === "total";
    this.#simple = only?.suffix === "" && only.side === undefined && only.kind !== "info" && !this.#grouped;
  }

  get name(): string {
    return this.#facts.metadata.name;
  }

  /** What the lines of this family begin with, for LineScan. */
  get prefix(): Uint8Array {
    return this.#base;
  }

  /** As Sink.headed. */
  headed(bytes: Uint8Array, start: number, end: number, word: string): void {
    this.#facts.sink.headed(bytes, start, end, word);
  }

  /** Whether the line that was just scanned belongs here and may go out as it is. `run`: first byte not passed on. */
  accepts(bytes: Uint8Array, at: number, run: number): number {
    const scan = this.#scan;
    if (this.#simple && scan.prefixed && scan.nameEnd === at + this.#base.length && scan.bare) {
      if (this.#counts && !isCount(bytes[scan.valueStart])) return -1;
      this.#lines++;
      return run;
    }
    const suffix = this.#suffixOf(bytes, at);
    this.#amongBuckets = suffix?.kind === "bucket";
    if (suffix === undefined || suffix.side !== undefined) return -1;
    const { from, to } = this.#facts;
    if (scan.timeStart !== 0 && !this.#timeMayStay(bytes)) return -1;
    if (scan.exemplar && !this.#exemplarMayStay(suffix)) return -1;
    if (to === "openmetrics" && (scan.trailingComma || (scan.reserved && from !== to))) return -1;
    if (!this.#checks) return this.#one(run);
    if (to === "openmetrics" && scan.reserved) return -1;
    if (!this.#grouped) return this.#single(bytes, suffix) ? this.#one(run) : -1;
    return this.#inGroup(bytes, at, run, suffix);
  }

  /**
   * How far lines go that are like the one at `at`, which was accepted just now and ends before `next`: the place where
   * they end. `bytes` are the room's.
   */
  more(runs: LineRuns, at: number, next: number, end: number): number {
    // What the form could object to, a comma or a label's name, is the same in all that are alike, but not a time.
    const timed = this.#scan.timeStart !== 0;
    if (!this.#simple || this.#scan.exemplar || (timed && (this.#facts.from !== "text" || this.#facts.to !== "text")))
      return next;
    const to = runs.alike(at, next, end, this.#counts ? 1 : 0);
    if (to > next) this.#lines += runs.found.lines;
    return to;
  }

  /** Whether the next line may be the first of a group that `histograms` takes. */
  get startsHistograms(): boolean {
    return this.#histograms && !this.#amongBuckets;
  }

  /**
   * Whole groups of a histogram of which the first begins with the line that was just scanned, as far as they are in the
   * usual order and keep all rules: passed on, and the place behind them. Else `at`, and nothing has happened. `run`: as
   * in accepts.
   */
  histograms(runs: LineRuns, bytes: Uint8Array, at: number, run: number, end: number): number {
    const scan = this.#scan;
    if (scan.pair !== "le" || !scan.bare) return at;
    if (this.#suffixOf(bytes, at)?.kind !== "bucket") return at;
    const { labelsStart, pairStart, pairValue, pairEnd, labelsEnd } = scan;
    const keyed = this.#grouped ? 1 : 0;
    const to = runs.histograms(at, labelsStart, pairStart, pairValue, pairEnd, labelsEnd, end, keyed);
    return to === at ? at : this.#passGroups(runs.found, bytes, at, run, to);
  }

  #passGroups(found: Found, bytes: Uint8Array, at: number, run: number, to: number): number {
    const check = this.#group;
    if (this.#grouped && check.isKnown(found.key(0))) return at;
    if (this.#grouped) this.#closeGroup(bytes, run, at);
    else this.flush(bytes, run, at);
    let lines = 0;
    let end = to;
    for (let i = 0; i < found.groups && end === to; i++) {
      const key = this.#grouped ? found.key(i) : 0;
      if (this.#grouped && check.isKnown(key)) end = found.start(i);
      else {
        if (this.#grouped) check.pass(key);
        lines += found.linesOf(i);
      }
    }
    this.#facts.sink.append(bytes, at, end, lines);
    return end;
  }

  #one(run: number): number {
    this.#lines++;
    return run;
  }

  /** Whether the line that was just scanned has one of this family's names. */
  owns(bytes: Uint8Array, at: number): boolean {
    return this.#suffixOf(bytes, at) !== undefined;
  }

  #suffixOf(bytes: Uint8Array, at: number): Suffix | undefined {
    return this.#scan.prefixed ? this.#findSuffix(bytes, at + this.#base.length) : undefined;
  }

  #findSuffix(bytes: Uint8Array, start: number): Suffix | undefined {
    const length = this.#scan.nameEnd - start;
    const suffixes = this.#suffixes;
    for (let n = 0; n < suffixes.length; n++) {
      const suffix = suffixes[n] as Suffix;
      if (suffix.suffix.length !== length) continue;
      const word = bytesOf(suffix.suffix);
      let i = 0;
      while (i < length && word[i] === bytes[start + i]) i++;
      if (i === length) return suffix;
    }
    return undefined;
  }

  /** Text has whole milliseconds from 1970 on; OpenMetrics' seconds may have a sign and a fraction. */
  #timeMayStay(bytes: Uint8Array): boolean {
    const { from, to } = this.#facts;
    if (from !== to) return false;
    if (from === "openmetrics") return true;
    if (bytes[this.#scan.timeStart] === 45) return false;
    for (let i = this.#scan.timeStart; i < this.#scan.numbersEnd; i++) if (bytes[i] === 46) return false;
    return true;
  }

  /** Only OpenMetrics has them, and only of these samples; the patient reader leaves others out. */
  #exemplarMayStay({ kind }: Suffix): boolean {
    const { from, to, naming } = this.#facts;
    if (from !== "openmetrics" || to !== "openmetrics" || naming.type === "unknown") return false;
    return kind === "bucket" || kind === "total";
  }

  /** Rules that one line can break by itself. */
  #single(bytes: Uint8Array, { kind }: Suffix): boolean {
    const scan = this.#scan;
    const first = bytes[scan.valueStart];
    if (this.#facts.to === "text") {
      // Prometheus' own text parser wants a number there.
      if (kind !== "bucket" && !(kind === "quantile" && scan.pair === "quantile")) return true;
      return scan.pair === pairOf(kind) && numberEnd(bytes, scan.pairValue) === scan.pairEnd - 1;
    }
    if (kind === "total") return isCount(first);
    if (kind === "info") return first === 49 && scan.valueEnd === scan.valueStart + 1 && scan.timeStart === 0;
    return true;
  }

  #inGroup(bytes: Uint8Array, at: number, run: number, { kind }: Suffix): number {
    const scan = this.#scan;
    if (kind === "total" && !this.#single(bytes, { kind, suffix: "", side: undefined })) return -1;
    const paired = scan.pair !== "" && scan.pair === pairOf(kind);
    const key = this.#keyOf(bytes, paired);
    const time = scan.timeStart === 0 ? undefined : numberIn(bytes, scan.timeStart, scan.numbersEnd);
    let from = run;
    if (this.#group.isNew(key, time)) {
      this.#closeGroup(bytes, run, at);
      from = at;
      this.#group.begin(key, time);
    }
    const bound = !paired ? Number.NaN : boundIn(bytes, scan.pairValue, scan.pairEnd - 1);
    this.#group.add(kind, bound, numberIn(bytes, scan.valueStart, scan.valueEnd));
    this.#lines++;
    return from;
  }

  /** Hash of the labels without the pair of `le` or `quantile` and without its comma. */
  #keyOf(bytes: Uint8Array, paired: boolean): number {
    const { labelsStart, labelsEnd, pairStart, pairEnd } = this.#scan;
    const hash = labelHash;
    hash.reset();
    if (!paired) hash.add(bytes, labelsStart, labelsEnd - (this.#scan.trailingComma ? 1 : 0));
    else if (pairEnd < labelsEnd) {
      hash.add(bytes, labelsStart, pairStart);
      hash.add(bytes, pairEnd + 1, labelsEnd);
    } else hash.add(bytes, labelsStart, Math.max(labelsStart, pairStart - 1));
    return hash.value;
  }

  /** The group that ends at `at`: passed on whole, or not at all where broken ones may not stand. */
  #closeGroup(bytes: Uint8Array, run: number, at: number): void {
    const { sink, tally } = this.#facts;
    const samples = this.#open.samples + this.#lines;
    if (samples === 0) return;
    const right = this.#groupFits && this.#group.finish();
    if (!right) sink.unclean();
    if (right || !sink.strict) {
      // In one go: a sink that overflows must not see half a group.
      if (this.#open.length > 0 && at > run) this.#open.add(bytes, run, at, this.#lines);
      if (this.#open.length > 0) sink.append(this.#open.bytes, 0, this.#open.length, this.#open.samples);
      else sink.append(bytes, run, at, this.#lines);
    } else tally.drop("semantics", samples);
    this.#lines = 0;
    this.#open.clear();
    this.#groupFits = true;
  }

  /** Passes on the run that ends at `at`, because the buffer or the run is over. A group stays open. */
  flush(bytes: Uint8Array, run: number, at: number): void {
    if (this.#lines === 0) return;
    if (this.#grouped) this.#keep(bytes, run, at, this.#lines);
    else this.#facts.sink.append(bytes, run, at, this.#lines);
    this.#lines = 0;
  }

  #keep(bytes: Uint8Array, start: number, end: number, samples: number): void {
    if (this.#open.length + end - start > LONGEST_GROUP) {
      this.#groupFits = false;
      this.#open.samples += samples;
    } else this.#open.add(bytes, start, end, samples);
  }

  /** The family is over. */
  close(): void {
    this.#closeGroup(noBytes, 0, 0);
    if (this.#sides === undefined) return;
    for (const [name, lines] of this.#sides) this.#facts.side(name, lines);
    this.#sides = undefined;
  }

  /**
   * A line that is not in the plain form, without its line feed; `flush` was called before. False when it belongs to
   * another family (whose name is then the sample's).
   */
  take(sample: Sample): boolean {
    const { metadata, naming, tally, sink } = this.#facts;
    if (!sample.name.startsWith(metadata.name)) return false;
    const rest = sample.name.slice(metadata.name.length);
    const suffix = naming.suffixes.find((one) => one.suffix === rest);
    if (suffix === undefined) return false;
    const line = this.#written(sample, suffix);
    if (line === undefined) tally.drop("syntax", 1);
    else if (suffix.side !== undefined) this.#aside(suffix.side, line);
    else if (this.#grouped) this.#takeInGroup(sample, suffix, line);
    else {
      const right = this.#rightAlone(sample, suffix);
      // In the text format there is no milder form in which such a sample could go out.
      const strict = sink.strict || this.#facts.to === "text";
      if (!right) sink.unclean();
      if (right || !strict) sink.append(line, 0, line.length, 1);
      else tally.drop("semantics", 1);
    }
    return true;
  }

  #written(sample: Sample, { kind }: Suffix): Buffer | undefined {
    const { to, escaping } = this.#facts;
    if (!timeFits(sample, to)) return undefined;
    const names = sample.labels.map(([name]) => labelList([[name, ""]], escaping));
    if (new Set(names).size < names.length) return undefined;
    const reserved = sample.labels.some(([name], i) => name.startsWith("__") || names[i]?.startsWith("__"));
    if (to === "openmetrics" && reserved) return undefined;
    if (escaping === "underscores" && !isPlainSample(sample)) this.#facts.sink.escaped();
    const typed = this.#facts.naming.type !== "unknown";
    const keepExemplar = to === "openmetrics" && typed && (kind === "bucket" || kind === "total");
    return Buffer.from(`${sampleLine(sample, this.#facts, keepExemplar)}\n`);
  }

  #rightAlone(sample: Sample, { kind }: Suffix): boolean {
    const value = parseNumber(sample.value) ?? Number.NaN;
    if (this.#facts.to === "text") {
      if (kind === "bucket") return boundOf(sample, "le") !== undefined;
      return kind !== "quantile" || !hasLabel(sample, "quantile") || boundOf(sample, "quantile") !== undefined;
    }
    if (kind === "total") return value >= 0;
    return kind !== "info" || (value === 1 && sample.time === undefined);
  }

  #takeInGroup(sample: Sample, { kind }: Suffix, line: Buffer): void {
    const pair = pairOf(kind);
    const rest = Buffer.from(
      labelList(
        sample.labels.filter(([name]) => name !== pair),
        this.#facts.escaping,
      ),
    );
    labelHash.reset();
    labelHash.add(rest, 0, rest.length);
    const key = labelHash.value;
    const time = this.#timeOf(sample);
    if (this.#group.isNew(key, time)) {
      this.#closeGroup(noBytes, 0, 0);
      this.#group.begin(key, time);
    }
    const value = parseNumber(sample.value) ?? Number.NaN;
    if (kind === "total" && !(value >= 0)) this.#groupFits = false;
    this.#group.add(kind, boundOf(sample, pair) ?? Number.NaN, value);
    this.#keep(line, 0, line.length, 1);
  }

  /** In the page's unit, so that it compares with lines that went the fast way. */
  #timeOf({ time }: Sample): number | undefined {
    if (time === undefined) return undefined;
    return this.#facts.from === "text" ? Number(time) / 1000 : Number(time);
  }

  #aside(name: string, line: Buffer): void {
    this.#sides ??= new Map();
    const lines = this.#sides.get(name) ?? new LineStore();
    this.#sides.set(name, lines);
    if (lines.length + line.length > MOST_ASIDE) this.#facts.tally.drop("buffer", 1);
    else lines.add(line, 0, line.length, 1);
  }
}

const noBytes = new Uint8Array(0);
/** Stand-ins that a family without groups never writes to. */
const noLines = new LineStore();
const noGroup = new GroupCheck("unknown");
/** Used for one label set at a time. */
const labelHash = new LabelHash();
/** A quoted name does not stand at the beginning of a line. */
const matchesNothing = new Uint8Array(1);
