/** The two text forms in which metrics travel: Prometheus' text format 0.0.4 and OpenMetrics 1.0.0. */
export type Form = "text" | "openmetrics";

/** OpenMetrics' types; "unknown" is what the text format calls untyped. */
export const familyTypes = [
  "counter",
  "gauge",
  "histogram",
  "summary",
  "unknown",
  "info",
  "stateset",
  "gaugehistogram",
] as const;
export type FamilyType = (typeof familyTypes)[number];

/** What names may look like when they go out: as they are (quoted where they must be), or with "_" for what is odd. */
export type Escaping = "allow-utf-8" | "underscores";

/** The page that is agreed on with the scraper. */
export interface Output {
  readonly form: Form;
  readonly escaping: Escaping;
}

/** What is said about a family before its samples, unescaped. */
export interface Metadata {
  readonly name: string;
  readonly type: FamilyType;
  readonly help: string | undefined;
  readonly unit: string | undefined;
}

export const LF = 10;
export const SPACE = 32;
export const QUOTE = 34;
export const HASH = 35;
export const COMMA = 44;
export const EQUALS = 61;
export const BACKSLASH = 92;
export const OPEN = 123;
export const CLOSE = 125;

/** Of one family's name this is asked several times in a row. */
let lastPlain = "_";

/** Whether a metric name needs no quotes. */
export function isPlainName(name: string): boolean {
  if (name === lastPlain) return true;
  if (!/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) return false;
  lastPlain = name;
  return true;
}
/** For who has read a name byte by byte and knows that it is plain. */
export function notePlainName(name: string): string {
  lastPlain = name;
  return name;
}

/** Whether a label name needs no quotes. */
export const isPlainLabel = (name: string): boolean => /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name);

/** The name as the page may spell it: unchanged where that is allowed, else by Prometheus' rule "underscores". */
export function escapeName(name: string, escaping: Escaping, plain: (name: string) => boolean): string {
  if (escaping === "allow-utf-8" || plain(name)) return name;
  return Array.from(name, (one, index) => (plain(index === 0 ? one : `a${one}`) ? one : "_")).join("");
}

/** Label values (both forms) and OpenMetrics' help texts. */
export const escapeValue = (text: string): string =>
  /[\\"\n]/.test(text) ? text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n") : text;
/** Help texts of the text format, where a quote stands for itself. */
export const escapeHelp = (text: string): string => text.replace(/\\/g, "\\\\").replace(/\n/g, "\\n");
/** The reverse of both; an escape that nobody defined stands for itself, as in Prometheus. */
export const unescapeValue = (text: string): string =>
  text.includes("\\") ? text.replace(/\\([\\"n])/g, (_, one: string) => (one === "n" ? "\n" : one)) : text;
/** The text format's help: only these two are escapes there. */
export const unescapeHelp = (text: string): string =>
  text.replace(/\\([\\n])/g, (_, one: string) => (one === "n" ? "\n" : one));
