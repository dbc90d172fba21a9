import {
  type Escaping,
  escapeName,
  escapeValue,
  type Form,
  isPlainLabel,
  isPlainName,
  LF,
  unescapeValue,
} from "./exposition.ts";
import { parseNumber } from "./numbers.ts";

export type Label = readonly [name: string, value: string];

/** One sample, taken apart; names and label values unescaped, numbers as they may be written in both forms. */
export interface Sample {
  readonly name: string;
  readonly labels: readonly Label[];
  readonly value: string;
  /** Milliseconds (text) or seconds (OpenMetrics), as written. */
  readonly time: string | undefined;
  readonly exemplar: Exemplar | undefined;
}

export interface Exemplar {
  readonly labels: readonly Label[];
  readonly value: string;
  /** Seconds, as written. */
  readonly time: string | undefined;
}

/**
 * The patient reader of one line (without its line feed): any spacing, quoted names, exemplars, odd numbers. What a
 * strict reader would refuse is refused here: undefined. About 2 µs a line.
 */
export function parseLine(line: string, form: Form): Sample | undefined {
  const reader = new LineReader(line.endsWith("\r") ? line.slice(0, -1) : line);
  const outside = reader.take(/[a-zA-Z_:][a-zA-Z0-9_:]*/y);
  reader.blanks();
  const braces = reader.braces();
  if (braces === undefined) return undefined;
  const name = outside ?? braces.name;
  if (name === undefined || name === "" || (outside !== undefined && braces.name !== undefined)) return undefined;
  reader.blanks();
  const value = number(reader.take(/[^ \t]+/y));
  if (value === undefined) return undefined;
  reader.blanks();
  const time = reader.take(/[^ \t#]+/y);
  if (time !== undefined && !isTime(time, form)) return undefined;
  reader.blanks();
  const exemplar = form === "openmetrics" && reader.peek() === "#" ? reader.exemplar() : undefined;
  reader.blanks();
  return reader.atEnd() ? { name, labels: braces.labels, value, time, exemplar } : undefined;
}

class LineReader {
  readonly #line: string;
  #at = 0;
  constructor(line: string) {
    this.#line = line;
  }

  peek(): string {
    return this.#line.charAt(this.#at);
  }

  atEnd(): boolean {
    return this.#at === this.#line.length;
  }

  /** What the sticky pattern matches here, or undefined. */
  take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#line)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  blanks(): void {
    this.take(/[ \t]*/y);
  }

  #quoted(): string | undefined {
    const found = this.take(/"(?:[^"\\]|\\.)*"/y);
    return found === undefined ? undefined : unescapeValue(found.slice(1, -1));
  }

  /** `{"name","label"="value",label="value"}`; nothing at all is no label. Undefined when it is not well formed. */
  braces(): { readonly name: string | undefined; readonly labels: readonly Label[] } | undefined {
    const labels: Label[] = [];
    let name: string | undefined;
    if (this.peek() !== "{") return { name, labels };
    this.#at++;
    for (;;) {
      this.blanks();
      if (this.take(/\}/y) !== undefined) break;
      const quoted = this.#quoted();
      const label = quoted ?? this.take(/[a-zA-Z_][a-zA-Z0-9_]*/y);
      this.blanks();
      if (this.take(/=/y) !== undefined) {
        this.blanks();
        const value = this.#quoted();
        if (label === undefined || label === "" || value === undefined) return undefined;
        labels.push([label, value]);
      } else {
        if (quoted === undefined || name !== undefined || labels.length > 0) return undefined;
        name = quoted;
      }
      this.blanks();
      if (this.take(/,/y) === undefined && this.peek() !== "}") return undefined;
    }
    const names = new Set(labels.map(([one]) => one));
    return names.size === labels.length && !names.has("__name__") ? { name, labels } : undefined;
  }

  /** `# {labels} value time`: one that is not well formed is left out, which leaves the line unfinished, so: refused. */
  exemplar(): Exemplar | undefined {
    this.take(/#[ \t]*/y);
    if (this.peek() !== "{") return undefined;
    const braces = this.braces();
    this.blanks();
    const value = number(this.take(/[^ \t]+/y));
    this.blanks();
    const time = this.take(/[^ \t]+/y);
    if (braces === undefined || braces.name !== undefined || value === undefined) return undefined;
    if (time !== undefined && !isTime(time, "openmetrics")) return undefined;
    return { labels: braces.labels, value, time };
  }
}

/** The number in a spelling that every reader takes; what is too small or usual already stays as it is. */
function number(text: string | undefined): string | undefined {
  const value = text === undefined ? undefined : parseNumber(text);
  if (text === undefined || value === undefined) return undefined;
  if (Number.isNaN(value)) return "NaN";
  return Number.isFinite(value) ? text : value > 0 ? "+Inf" : "-Inf";
}

function isTime(text: string, form: Form): boolean {
  // Prometheus' own text parser knows no time before 1970.
  if (form === "text") return /^\d{1,18}$/.test(text);
  const value = parseNumber(text);
  return value !== undefined && Math.abs(value) < 1e15;
}

/** How samples are written. */
export interface Spelling {
  readonly from: Form;
  readonly to: Form;
  readonly escaping: Escaping;
}

/** The line of a sample, without line feed. */
export function sampleLine(sample: Sample, spelling: Spelling, keepExemplar: boolean): string {
  const { escaping } = spelling;
  const name = escapeName(sample.name, escaping, isPlainName);
  const labels = labelList(sample.labels, escaping);
  const head = isPlainName(name)
    ? labels === ""
      ? name
      : `${name}{${labels}}`
    : `{"${escapeValue(name)}"${labels === "" ? "" : `,${labels}`}}`;
  const time = sample.time === undefined ? "" : ` ${convertTime(sample.time, spelling)}`;
  const exemplar = keepExemplar && sample.exemplar !== undefined ? exemplarText(sample.exemplar, escaping) : "";
  return `${head} ${sample.value}${time}${exemplar}`;
}

/** `a="b",c="d"`: also the key under which two samples are the same series. */
export function labelList(labels: readonly Label[], escaping: Escaping): string {
  return labels
    .map(([label, value]) => {
      const name = escapeName(label, escaping, isPlainLabel);
      return `${isPlainLabel(name) ? name : `"${escapeValue(name)}"`}="${escapeValue(value)}"`;
    })
    .join(",");
}

/** OpenMetrics allows 128 characters of names and values; a longer exemplar is left out, not the sample. */
function exemplarText(exemplar: Exemplar, escaping: Escaping): string {
  const length = exemplar.labels.reduce((sum, [name, value]) => sum + Array.from(name + value).length, 0);
  if (length > 128) return "";
  const time = exemplar.time === undefined ? "" : ` ${exemplar.time}`;
  return ` # {${labelList(exemplar.labels, escaping)}} ${exemplar.value}${time}`;
}

/** Milliseconds and seconds into each other, as text, so that no digit is lost that the other form can hold. */
function convertTime(time: string, { from, to }: Spelling): string {
  if (from === to) return time;
  if (to === "text") return String(Math.round(Number(time) * 1000));
  const padded = time.padStart(4, "0");
  return `${padded.slice(0, -3)}.${padded.slice(-3)}`;
}

/** Whether the sample's time can be written in the form `to`. */
export const timeFits = ({ time }: Sample, to: Form): boolean =>
  time === undefined || to === "openmetrics" || Number(time) >= 0;

/** One line as a sample; the line feed is not part of it. */
export const readSample = (bytes: Buffer, start: number, end: number, form: Form): Sample | undefined =>
  parseLine(bytes.toString("utf8", start, bytes[end - 1] === LF ? end - 1 : end), form);
