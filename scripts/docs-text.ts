import type { Command, Option } from "../src/cli/command.ts";
import { exitCodeRows, groups, spelling } from "../src/cli/help-text.ts";
import { environmentGroups, environmentPrefixes, launcherVariables } from "../src/config/environment-table.ts";
import { allowedText, type Variable } from "../src/config/environment-variable.ts";

/** The pages that are written from the program's own tables: text in memory, compared with the files by a test. */

const generated = "<!-- Written by `npm run docs` from the tables in the code; a test compares. Do not edit. -->";

/** docs/cli.md: every command with its flags and exit codes. */
export function cliPage(table: readonly Command[]): string {
  const shown = table.filter((command) => command.hidden !== true);
  return lines(
    "# Commands and flags",
    generated,
    "`pilotfish COMMAND [flags]`. A value stands behind its flag as the next word or after `=`; a boolean takes one only " +
      'after `=`. A flag and its value may also be one word (`"-c /etc/envoy/envoy.yaml"`), as hand-written manifests have ' +
      "it. Durations are Go's: `45s`, `1m0s`, `300ms`. What stands behind `--` is left alone.",
    "An unknown flag is one warning for the commands that stand in for Istio's, and takes the next word with it unless that " +
      "begins with `-`; for the others it is an error. A `$(NAME)` that the kubelet did not expand is an error that names it. " +
      "Everything that is wrong is reported at once, with exit code 64, before anything is started.",
    shown.map((command) => `- [\`${command.name}\`](#${command.name}): ${command.summary}`).join("\n"),
    ...shown.flatMap(commandSection),
  );
}

function commandSection(command: Command): readonly string[] {
  const aliases = command.aliases ?? [];
  return [
    `## ${command.name}`,
    command.summary,
    `\`\`\`\npilotfish ${command.usage}\n\`\`\``,
    ...(aliases.length === 0 ? [] : [`Also called ${aliases.map((name) => `\`${name}\``).join(", ")}.`]),
    ...command.description,
    ...groups(command.options).flatMap(([title, options]) => [
      `### ${command.name}: ${title.toLowerCase()}`,
      flagTable(options),
    ]),
    tableOf(
      ["Exit code", "Meaning"],
      exitCodeRows(command).map(([code, meaning]) => [String(code), meaning]),
    ),
  ];
}

/** Columns that would be empty are left out. */
function flagTable(options: readonly Option[]): string {
  const hasEnv = options.some((option) => option.env !== undefined);
  const hasToday = options.some((option) => option.today !== undefined);
  return tableOf(
    ["Flag", "Meaning", "Default", ...(hasEnv ? ["Environment"] : []), ...(hasToday ? ["Today"] : [])],
    options.map((option) => [
      `\`${spelling(option)}\``,
      `${option.summary}${option.repeatable === true ? " May be given more than once." : ""}`,
      option.default === undefined ? "" : `\`${option.default}\``,
      ...(hasEnv ? [option.env === undefined ? "" : `\`${option.env}\``] : []),
      ...(hasToday ? [option.today ?? ""] : []),
    ]),
  );
}

/** docs/environment.md: every variable that the configuration is read from. */
export function environmentPage(): string {
  return lines(
    "# Environment variables",
    generated,
    "What `proxy` and `bootstrap` read, under the names that Istio's injection sets. An empty value is as good as none. A " +
      "value that is not allowed ends the start with exit code 64 and names the variable, the value and what is allowed. " +
      "Fields of the proxy configuration come, strongest first, from flags, single annotations " +
      "(`sidecar.istio.io/discoveryAddress`, `status.sidecar.istio.io/port`), the annotation `proxy.istio.io/config`, " +
      "`PROXY_CONFIG`, `defaultConfig` of the mesh file, and the defaults.",
    ...Object.entries(environmentGroups).flatMap(([title, group]) => [`## ${title}`, variableTable(group)]),
    "## Names with a prefix",
    tableOf(
      ["Prefix", "Meaning"],
      environmentPrefixes.map(([prefix, summary]) => [`\`${prefix}…\``, summary]),
    ),
    "## The launcher",
    "Read by `bin/pilotfish`, before the program itself.",
    tableOf(
      ["Variable", "Meaning"],
      launcherVariables.map(([name, summary]) => [`\`${name}\``, summary]),
    ),
  );
}

function variableTable(group: Readonly<Record<string, Variable>>): string {
  return tableOf(
    ["Variable", "Value", "Default", "Meaning"],
    Object.entries(group).map(([name, variable]) => [
      `\`${name}\``,
      variable.choices?.map((choice) => `\`${choice}\``).join(", ") ?? allowedText[variable.kind],
      variable.default === undefined ? "" : `\`${variable.default}\``,
      `${variable.summary}${variable.today === undefined ? "" : ` **Today:** ${variable.today}`}`,
    ]),
  );
}

const lines = (...parts: readonly string[]): string => `${parts.join("\n\n")}\n`;

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n");
}
