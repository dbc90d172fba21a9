import { type Mood, oneLine, type StatusDocument, type StatusSection, shown, type Table } from "./status-document.ts";

export interface TextOptions {
  /** Colours of a terminal. The signs in front say the same. */
  readonly colour: boolean;
}

const signs: Readonly<Record<Mood, string>> = { good: "+", bad: "!", waiting: "~" };
const colours: Readonly<Record<Mood, string>> = { good: "32", bad: "31", waiting: "33" };
const BOLD = "1";

/** The page for a terminal: a title, names in one column, values in the next; `!` in front of what is bad. */
export function statusText(document: StatusDocument, { colour }: TextOptions): string {
  const paint: Paint = (text, code) => (colour && code !== undefined ? `\u001b[${code}m${text}\u001b[0m` : text);
  return `${document.map((section) => sectionText(section, paint).join("\n")).join("\n\n")}\n`;
}

type Paint = (text: string, code: string | undefined) => string;

function sectionText({ title, facts, table }: StatusSection, paint: Paint): readonly string[] {
  const width = Math.max(0, ...facts.map((one) => one.label.length));
  const lines = facts.map(({ label, value, unit, mood }) => {
    const text = `${sign(mood)} ${label.padEnd(width)}  ${oneLine(shown(value, unit))}`;
    return paint(text, mood && colours[mood]);
  });
  return [paint(title, BOLD), ...lines, ...(table === undefined ? [] : tableText(table, paint))];
}

const sign = (mood: Mood | undefined): string => (mood === undefined ? " " : signs[mood]);

function tableText({ columns, rows, empty }: Table, paint: Paint): readonly string[] {
  if (rows.length === 0) return [`  ${empty}`];
  const texts = rows.map(({ cells }) => columns.map(({ unit }, index) => oneLine(shown(cells[index], unit))));
  const widths = columns.map(({ label }, index) =>
    Math.max(label.length, ...texts.map((row) => row[index]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join("  ")
      .trimEnd();
  const body = rows.map(({ mood }, index) => paint(`${sign(mood)} ${line(texts[index] ?? [])}`, mood && colours[mood]));
  return [`  ${line(columns.map((one) => one.label))}`, ...body];
}
