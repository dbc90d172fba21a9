import type { Command } from "../command.ts";

export const versionCommand: Command = {
  name: "version",
  summary: "Prints the version, the commit and what runs it.",
  usage: "version [--short] [-o json|yaml]",
  description: [],
  options: [
    { name: "short", short: "s", kind: "boolean", summary: "The version alone." },
    { name: "output", short: "o", kind: "string", placeholder: "json|yaml", summary: "Prints an object." },
  ],
  unknownFlags: "warn",
  exitCodes: [],
  load: () => import("../run-version.ts"),
};
