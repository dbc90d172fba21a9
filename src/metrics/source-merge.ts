import { isAscii, isUtf8 } from "node:buffer";
import { type Comment, isEnd, readComment } from "./comment-scan.ts";
import {
  escapeName,
  type FamilyType,
  type Form,
  familyTypes,
  HASH,
  isPlainName,
  LF,
  type Metadata,
  notePlainName,
  unescapeHelp,
  unescapeValue,
} from "./exposition.ts";
import { FamilyLines } from "./family-lines.ts";
import { filterLines } from "./filter-lines.ts";
import { helpOf, type WholeFamily } from "./held-whole.ts";
import { readSample } from "./line-parse.ts";
import type { LineRoom, LineRuns } from "./line-runs/line-room.ts";
import { LineScan } from "./line-scan.ts";
import { type Naming, nameFamily } from "./naming.ts";
import type { Filter, MergedPage } from "./page.ts";
import type { LineStore } from "./sinks.ts";
import { CutOff, type Tally } from "./tally.ts";

/** What comments said of a family, and where: from `at` to `end` without a gap, if they are in our own form. */
interface Announced {
  readonly name: string;
  readonly bytes: Buffer;
  readonly at: number;
  end: number;
  /** "whole": as we would write it, a help or none, then the type. */
  written: "nothing" | "help" | "whole" | "otherwise";
  type?: FamilyType;
  /** The type as written. */
  word?: string;
  help?: string;
  unit?: string;
}

/** Lines that may be broken before the rest of a source's page is given up. */
const MOST_BROKEN_LINES = 100;

/**
 * One source's page on its way into the merged one. Gets whole lines as they come (any number at a time), finds the
 * families, opens each on the page and passes its lines on. What is broken is left out and counted; throws CutOff when
 * the rest is not worth reading.
 */
export class SourceMerge {
  readonly #page: MergedPage;
  readonly #tally: Tally;
  readonly #form: Form;
  readonly #hold: boolean;
  readonly #room: LineRoom | undefined;
  readonly #scan = new LineScan();
  #family: FamilyLines | undefined;
  /** What was said of the family whose samples should come next. */
  #said: Announced | undefined;
  #broken = 0;
  #sawEnd = false;

  /** `room`: where most lines are, if they come from a source of any size. */
  constructor(page: MergedPage, tally: Tally, form: Form, hold: boolean, room?: LineRoom) {
    this.#page = page;
    this.#room = room;
    this.#tally = tally;
    this.#form = form;
    this.#hold = hold;
  }

  /** Whether `# EOF` was seen, without which an OpenMetrics page is not whole. */
  get sawEnd(): boolean {
    return this.#sawEnd;
  }

  /** Whole lines: the byte before `end` is a line feed. */
  push(bytes: Buffer, start: number, end: number): void {
    const range = bytes.subarray(start, end);
    const clean = range.indexOf(0) < 0 && (isAscii(range) || isUtf8(range));
    if (clean) return this.#lines(bytes, start, end);
    for (let at = start; at < end && !this.#sawEnd; ) {
      const next = bytes.indexOf(LF, at) + 1;
      const line = bytes.subarray(at, next);
      if (line.indexOf(0) < 0 && isUtf8(line)) this.#lines(bytes, at, next);
      else this.#breaks("encoding");
      at = next;
    }
  }

  /** The source's page is over, or nothing more of it is wanted. */
  end(): void {
    this.#family?.close();
    this.#family = undefined;
  }

  #breaks(reason: "syntax" | "encoding"): void {
    this.#tally.drop(reason, 1);
    if (++this.#broken > MOST_BROKEN_LINES)
      throw new CutOff(reason === "encoding" ? "encoding" : "garbage", `more than ${MOST_BROKEN_LINES} broken lines`);
  }

  /** The loop over lines: as long as they are plain and of one family they become one run. */
  #lines(bytes: Buffer, start: number, given: number): void {
    const scan = this.#scan;
    let end = given;
    let tidy = false;
    const runs = bytes.buffer === this.#room?.bytes.buffer ? this.#room.runs : undefined;
    scan.begin(bytes);
    let run = start;
    let at = start;
    while (at < end && !this.#sawEnd) {
      const whole = runs === undefined ? at : this.#whole(runs, bytes, at, run, end);
      if (whole > at) {
        run = whole;
        at = whole;
        continue;
      }
      if (this.#isPlain(bytes, at)) {
        const from = this.#family?.accepts(bytes, at, run) ?? -1;
        if (from >= 0) {
          run = from;
          const next = scan.end + 1;
          const alone = runs === undefined || next >= end || bytes[next] === HASH;
          at = alone ? next : (this.#family?.more(runs, at, next, end) ?? next);
          continue;
        }
        if (scan.bare && this.#family?.owns(bytes, at) !== true) {
          this.#family?.flush(bytes, run, at);
          run = at;
          this.#open(bytes.toString("latin1", at, scan.nameEnd), bytes, at);
          if (this.#family !== undefined) continue;
        }
      }
      this.#family?.flush(bytes, run, at);
      run = at;
      if (runs !== undefined && !tidy && bytes[at] !== HASH && bytes[at] !== LF) {
        // An odd line is seldom alone: all that follow are looked at again.
        tidy = true;
        end = runs.tidy(at, end);
        continue;
      }
      run = this.#odd(bytes, at, end);
      at = run;
    }
    if (!this.#sawEnd) this.#family?.flush(bytes, run, end);
  }

  #isPlain(bytes: Buffer, at: number): boolean {
    const first = bytes[at];
    return first !== HASH && first !== LF && this.#scan.scan(bytes, at, this.#family?.prefix ?? noPrefix);
  }

  /** What can be passed on in one go: the place behind it, and nothing of the run is left; else `at`. */
  #whole(runs: LineRuns, bytes: Buffer, at: number, run: number, end: number): number {
    if (bytes[at] === HASH) return this.#wholeFamily(runs, bytes, at, run, end);
    const family = this.#family;
    if (family?.startsHistograms !== true || !this.#isPlain(bytes, at)) return at;
    return family.histograms(runs, bytes, at, run, end);
  }

  /**
   * A whole family that begins with this comment, when it is one of those that Envoy's page has by the thousand: passed
   * on, and the place behind it. Else `at`, and nothing has happened.
   */
  #wholeFamily(runs: LineRuns, bytes: Buffer, at: number, run: number, end: number): number {
    if (this.#form !== "text" || this.#said !== undefined) return at;
    const { form } = this.#page.output;
    const to = runs.family(at, end, form === "openmetrics" ? 1 : 0);
    if (to === at) return at;
    const { lines, nameEnd, type } = runs.found;
    const comment = runs.found.help === 0 ? at : bytes.indexOf(LF, runs.found.help) + 1;
    const name = notePlainName(bytes.toString("latin1", comment + "# TYPE ".length, nameEnd));
    if (name === this.#family?.name) return at;
    this.#family?.flush(bytes, run, at);
    this.#family?.close();
    this.#family = undefined;
    const first = nameEnd + type.length + 2;
    const family = { name, type, samples: lines, at, first, to };
    const counter = form === "openmetrics" && type === "counter";
    const renamed = counter && name.endsWith("_total");
    // A word of the same length, so that all of it stays in one run.
    if (counter) writeUnknown(bytes, nameEnd + 1);
    if (renamed || !this.#page.whole(this.#tally, family, this.#hold, bytes)) this.#openWhole(family, bytes);
    return to;
  }

  /** A family whose name somebody has, for which there is no room, or that is called otherwise on this page. */
  #openWhole({ name, type, samples, at, first, to }: WholeFamily, bytes: Buffer): void {
    const { form, escaping } = this.#page.output;
    const metadata = { name, type, help: helpOf(bytes, at, name), unit: undefined };
    const wanted = nameFamily(metadata, "text", form, escaping);
    const { sink } = this.#page.open(this.#tally, metadata, wanted, this.#hold, this.#filter);
    sink.headed(bytes, at, first, wanted.typeWord);
    sink.append(bytes, first, to, samples);
  }

  /**
   * A line that the fast path did not take: metadata, a comment, a blank line, or a sample that is not in the plain
   * form. Returns where to go on: behind it, or at it again when its family was opened now.
   */
  #odd(bytes: Buffer, at: number, end: number): number {
    const next = bytes.indexOf(LF, at) + 1;
    const first = bytes[at];
    if (first === HASH) this.#comment(bytes, at, next - 1);
    else if (first !== LF && !(first === 13 && next === at + 2)) {
      const sample = readSample(bytes, at, next, this.#form);
      if (sample === undefined) this.#breaks("syntax");
      else if (this.#family?.take(sample) !== true) {
        this.#open(sample.name, bytes, at);
        return at;
      }
    }
    return Math.min(next, end);
  }

  #comment(bytes: Buffer, at: number, end: number): void {
    if (this.#form === "openmetrics" && isEnd(bytes, at, end)) {
      this.#sawEnd = true;
      return;
    }
    const comment = readComment(bytes, at, end);
    if (comment === undefined || comment.name === this.#family?.name) return;
    const { what, name, rest } = comment;
    // Whatever comes now belongs to the family that is announced here.
    this.#family?.close();
    this.#family = undefined;
    if (this.#said?.name !== name) this.#said = { name, bytes, at, end: at, written: "nothing" };
    const said = this.#said;
    said.written = said.bytes === bytes && said.end === at ? writtenAfter(said.written, comment) : "otherwise";
    said.end = end + 1;
    if (what === "TYPE") said.word ??= rest;
    if (what === "HELP") said.help ??= this.#form === "text" ? unescapeHelp(rest) : unescapeValue(rest);
    else if (what === "UNIT") said.unit ??= rest;
    else said.type ??= typeOf(rest.trim());
  }

  /** The family of a sample with this name: the one that was announced, or one of which nothing is known. */
  #open(sample: string, bytes: Buffer, at: number): void {
    this.#family?.close();
    const said = this.#said;
    this.#said = undefined;
    const announced =
      said === undefined
        ? undefined
        : this.#familyOf({ name: said.name, type: said.type ?? "unknown", help: said.help, unit: said.unit }, sample);
    this.#family =
      announced ?? this.#familyOf({ name: sample, type: "unknown", help: undefined, unit: undefined }, sample);
    if (announced === undefined || said === undefined) return;
    if (said.written === "whole" && said.bytes === bytes && said.end === at)
      announced.headed(bytes, said.at, at, said.word ?? "");
  }

  /** Opened on the page; undefined when the sample does not belong to it. */
  #familyOf(metadata: Metadata, sample: string): FamilyLines | undefined {
    const page = this.#page;
    const tally = this.#tally;
    const { form, escaping } = page.output;
    if (!sample.startsWith(metadata.name)) return undefined;
    const rest = sample.slice(metadata.name.length);
    const wanted = nameFamily(metadata, this.#form, form, escaping);
    if (!hasSuffix(wanted, rest)) return undefined;
    const { naming, sink, alone } = page.open(tally, metadata, wanted, this.#hold, this.#filter);
    if (!hasSuffix(naming, rest)) return undefined;
    const side = hasSide(naming) ? this.#sideOf(metadata, alone) : noSide;
    return new FamilyLines({ naming, metadata, tally, sink, from: this.#form, to: form, escaping, side }, this.#scan);
  }

  #sideOf(metadata: Metadata, alone: boolean): (name: string, lines: LineStore) => void {
    return (name, lines) => {
      if (alone) this.#page.aside(name, lines, this.#tally, metadata);
      else this.#tally.dropFrom(name, lines.samples);
    };
  }

  /** Lines that were held, now strictly: they are in the page's form already. */
  readonly #filter: Filter = (naming, metadata, bytes, sink) => {
    const { form, escaping } = this.#page.output;
    const written = { ...metadata, name: escapeName(metadata.name, escaping, isPlainName) };
    const tally = this.#tally;
    const facts = { naming, metadata: written, tally, sink, from: form, to: form, escaping, side: noSide };
    filterLines(bytes, facts);
  };
}

function hasSuffix({ suffixes }: Naming, rest: string): boolean {
  for (const { suffix } of suffixes) if (suffix === rest) return true;
  return false;
}

function hasSide({ suffixes }: Naming): boolean {
  for (const { side } of suffixes) if (side !== undefined) return true;
  return false;
}

const noSide = (): void => undefined;

/** Help texts with escapes may be spelled in several ways. */
function writtenAfter(before: Announced["written"], { what, rest, plain }: Comment): Announced["written"] {
  if (!plain) return "otherwise";
  if (what === "HELP") return before === "nothing" && !/[\\"]/.test(rest) ? "help" : "otherwise";
  return what === "TYPE" && (before === "nothing" || before === "help") ? "whole" : "otherwise";
}

/** What the text format calls a counter, but OpenMetrics not: "unkn", "own" and the line feed. */
function writeUnknown(bytes: Buffer, at: number): void {
  bytes.writeUInt32LE(0x6e6b6e75, at);
  bytes.writeUInt32LE(0x0a6e776f, at + 4);
}

const noPrefix = new Uint8Array(0);

function typeOf(word: string): FamilyType {
  for (const one of familyTypes) if (one === word) return one;
  return "unknown";
}
