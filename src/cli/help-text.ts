import type { Command, Option } from "./command.ts";

const WIDTH = 100;

/** The page that `pilotfish help` prints. */
export function programHelp(table: readonly Command[]): string {
  const shown = table.filter((command) => command.hidden !== true);
  const width = Math.max(...shown.map((command) => command.name.length));
  return [
    "pilotfish: a PID-1 sidecar supervisor for Envoy, a drop-in for Istio's pilot-agent",
    "",
    "Usage:",
    "  pilotfish COMMAND [flags]",
    "",
    "Commands:",
    ...shown.flatMap((command) => columns(command.name, command.summary, width + 4)),
    "",
    "`pilotfish help COMMAND` tells more about one.",
    "",
  ].join("\n");
}

/** The page that `pilotfish COMMAND --help` prints. */
export function commandHelp(command: Command): string {
  const names = command.aliases === undefined ? [] : ["", `Also called: ${command.aliases.join(", ")}`];
  return [
    command.summary,
    "",
    "Usage:",
    `  pilotfish ${command.usage}`,
    ...names,
    ...command.description.flatMap((paragraph) => ["", ...wrapped(paragraph, WIDTH)]),
    ...groups(command.options).flatMap(([title, options]) => ["", `${title}:`, ...options.flatMap(optionHelp)]),
    "",
    "Exit codes:",
    ...exitCodeRows(command).flatMap(([code, meaning]) => columns(String(code), meaning, 6)),
    "",
  ].join("\n");
}

/** All exit codes of a command, those that every command has included. */
export function exitCodeRows(command: Command): readonly (readonly [code: number, meaning: string])[] {
  const rows = new Map<number, string>([
    [0, "done"],
    [64, "the arguments or the configuration can't be used; every problem is named"],
    ...command.exitCodes,
  ]);
  return [...rows].sort(([a], [b]) => a - b);
}

/** Visible options by group, in the table's order; those without a group come first as "Flags". */
export function groups(options: readonly Option[]): readonly (readonly [title: string, options: readonly Option[]])[] {
  const found = new Map<string, Option[]>();
  for (const option of options) {
    if (option.hidden === true) continue;
    const title = option.group ?? "Flags";
    found.set(title, [...(found.get(title) ?? []), option]);
  }
  return [...found].sort(([a], [b]) => Number(b === "Flags") - Number(a === "Flags"));
}

/** `-c, --customConfigFile FILE`: how the flag is written. */
export function spelling(option: Option): string {
  const short = option.short === undefined ? "" : `-${option.short}, `;
  const value = option.kind === "boolean" ? "" : ` ${option.placeholder ?? placeholders[option.kind]}`;
  return `${short}--${option.name}${value}`;
}

const placeholders = { string: "TEXT", number: "NUMBER", duration: "DURATION", list: "LIST", boolean: "" } as const;

function optionHelp(option: Option): readonly string[] {
  const facts = [
    option.default === undefined ? undefined : `default ${option.default}`,
    option.env === undefined ? undefined : `env ${option.env}`,
    option.repeatable === true ? "may be given more than once" : undefined,
  ].filter((fact) => fact !== undefined);
  const behind = facts.length === 0 ? "" : ` (${facts.join("; ")})`;
  const today = option.today === undefined ? "" : ` Today: ${option.today}`;
  return columns(spelling(option), `${option.summary}${behind}${today}`, 34);
}

/** A name and its text, the text in a column of its own. */
function columns(name: string, text: string, indent: number): readonly string[] {
  const lines = wrapped(text, WIDTH - indent).map((line) => `${" ".repeat(indent)}${line}`);
  if (name.length + 4 > indent) return [`  ${name}`, ...lines];
  return [`  ${name.padEnd(indent - 2)}${(lines[0] ?? "").slice(indent)}`, ...lines.slice(1)];
}

function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
