import { lifecycleTable } from "../src/process/lifecycle.ts";
import { allowedImports, exceptions } from "../test/architecture/allowed-imports.ts";

/*
 * The parts of docs/architecture.md that are drawn from the code: which folder may import which, and the table of the
 * lifecycle machine. Each stands between two markers; the text around them is written by hand.
 */

/** What each folder of src/ is for; a test asks that none is left out. */
export const jobs: Readonly<Record<string, string>> = {
  foundation: "errors, log, deadlines, mailbox, guarded callbacks; knows nothing of Envoy",
  system:
    "the only door to the outside: clock, programs, files, sockets, signals, chance, network interfaces, native calls",
  config: "text and maps in, one read-only `AgentConfig` out; all problems at once",
  bootstrap: "`AgentConfig` to Envoy's bootstrap, from `bootstrap-templates/`",
  process: "Envoy's life: epochs, hot restart, crashes, drain, stop; pure machines decide, one driver acts",
  protocol: "the only reader of `proto/`",
  identity: "key, signing request, CA client, rotation, certificates from files, trust bundle",
  sds: "the server that gives Envoy its secrets",
  xds: "the server that forwards the control plane's configuration to Envoy",
  dns: "name table, cache, forwarding",
  metrics: "own registry; scrape and merge of agent's, Envoy's and application's pages",
  status: "readiness, probes, routes of the status port; reads a snapshot, posts events",
  capture: "options to rules (pure), to text for the kernel; apply, verify, undo",
  inject: "pod in, pod out (pure); the webhook",
  "control-plane": "the embedded one, for development and tests: CA, ADS from files",
  agent: "puts the stages together: start in order, stop in reverse",
  cli: "tables of commands and options; parser, help and pages come from them",
  "main.ts": "the program: signals first, then the command line",
};

/** Folders and what each may import. */
export function houseTable(): string {
  const rows = Object.entries(allowedImports).map(([folder, allowed]) => {
    const more = Object.entries(exceptions)
      .filter(([file, list]) => file.startsWith(`${folder}/`) && list.some((one) => one !== ".."))
      .map(([file, list]) => `\`${file.slice(folder.length + 1)}\` also ${list.join(", ")}`);
    return [`\`${folder}\``, jobs[folder] ?? "", [allowed.join(", ") || "nothing", ...more].join("; ")];
  });
  return tableOf(["Folder", "Its job", "May import"], rows);
}

/** Events down, states across; a cell is the name of the function in src/process/ that handles it. */
export function lifecycleStates(): string {
  const states = Object.keys(lifecycleTable);
  const events = [...new Set(Object.values(lifecycleTable).flatMap((row) => Object.keys(row)))];
  const cell = (state: string, event: string): string => {
    const name = lifecycleTable[state]?.[event] ?? "";
    return name === "stay" || name === "" ? "·" : `\`${name}\``;
  };
  return tableOf(
    ["Event", ...states],
    events.map((event) => [`**${event}**`, ...states.map((state) => cell(state, event))]),
  );
}

const generated: Readonly<Record<string, () => string>> = { house: houseTable, lifecycle: lifecycleStates };

/** The page with its drawn parts renewed; throws when a marker is missing. */
export function architecturePage(page: string): string {
  return Object.entries(generated).reduce((text, [name, draw]) => {
    const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
    const [from, to] = [text.indexOf(begin), text.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`cannot renew docs/architecture.md: "${begin}" … "${end}" is missing`);
    return `${text.slice(0, from + begin.length)}\n${draw()}\n${text.slice(to)}`;
  }, page);
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n");
}
