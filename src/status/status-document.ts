import type { Json, JsonObject } from "../config/agent-config.ts";

/**
 * What `/status` shows: sections, each from whoever knows. One value, three forms: a page for the terminal, HTML, JSON.
 * Nothing secret may be put in.
 */
export type StatusDocument = readonly StatusSection[];

export interface StatusSection {
  /** Its name in the JSON: `envoy`, `certificate`. */
  readonly key: string;
  /** What people read above it. */
  readonly title: string;
  readonly facts: readonly Fact[];
  readonly table?: Table;
}

export interface Fact {
  /** Its name in the JSON; with its unit at the end when it has one: `uptimeMs`. */
  readonly key: string;
  readonly label: string;
  /** Undefined: not known, and said so. */
  readonly value: string | number | boolean | undefined;
  readonly unit?: Unit;
  readonly mood?: Mood;
}

export type Unit = "ms" | "bytes";
/** How a reader should take it; a page shows it in colour and with a word or a sign, never in colour alone. */
export type Mood = "good" | "bad" | "waiting";

export interface Table {
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
  /** Needs the whole width of a page. */
  readonly wide?: boolean;
  /** Shown instead of rows when there are none. */
  readonly empty: string;
}

export interface Column {
  readonly key: string;
  readonly label: string;
  readonly unit?: Unit;
}

export interface Row {
  readonly cells: readonly Fact["value"][];
  readonly mood?: Mood;
}

/** `{"envoy":{"state":"live",…,"rows":[…]}}`. What is not known is null. */
export function statusJson(document: StatusDocument): JsonObject {
  return Object.fromEntries(document.map((section) => [section.key, sectionJson(section)]));
}

function sectionJson({ facts, table }: StatusSection): JsonObject {
  const plain = facts.map(({ key, value, unit }) => [key, plainValue(value, unit)] as const);
  return { ...Object.fromEntries(plain), ...(table === undefined ? {} : { rows: rowsJson(table) }) };
}

function rowsJson({ columns, rows }: Table): Json {
  return rows.map(({ cells }) =>
    Object.fromEntries(columns.map(({ key, unit }, index) => [key, plainValue(cells[index], unit)])),
  );
}

/** Whole milliseconds are as exact as anybody can use. */
function plainValue(value: Fact["value"], unit: Unit | undefined): Json {
  return typeof value === "number" && unit === "ms" ? Math.round(value) : (value ?? null);
}

/** A value as people read it. */
export function shown(value: Fact["value"], unit?: Unit): string {
  if (value === undefined) return "not known";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return value === "" ? "-" : value;
  if (unit === "ms") return duration(value);
  return unit === "bytes" ? bytes(value) : String(value);
}

/** `250 ms`, `3.2 s`, `4 min 5 s`, `2 h 3 min`, `5 d 1 h`: two steps are all that anybody needs. */
export function duration(ms: number): string {
  if (ms < 0) return `-${duration(-ms)}`;
  if (Math.round(ms) < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(Math.floor(Math.round(ms) / 100) / 10).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1_000);
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3_600), Math.floor(seconds / 86_400)];
  if (hours === 0) return `${minutes} min ${seconds % 60} s`;
  return days === 0 ? `${hours} h ${minutes % 60} min` : `${days} d ${hours % 24} h`;
}

function bytes(count: number): string {
  if (Math.abs(count) < 1_000) return `${count} B`;
  const [unit, size] = count < 1e6 ? ["kB", 1e3] : count < 1e9 ? ["MB", 1e6] : ["GB", 1e9];
  return `${(count / (size as number)).toFixed(1)} ${unit}`;
}

/** A text may hold what another program said: no control character of it reaches a terminal or begins a line. */
export const oneLine = (text: string): string => text.replace(/\p{Cc}+/gu, " ");
