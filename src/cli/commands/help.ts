import type { Command } from "../command.ts";

export const helpCommand: Command = {
  name: "help",
  summary: "Tells what a command does and which flags it takes.",
  usage: "help [COMMAND]",
  description: ["Without a command it lists them all. `pilotfish COMMAND --help` prints the same page."],
  options: [],
  unknownFlags: "error",
  exitCodes: [],
  load: () => import("../run-help.ts"),
};
