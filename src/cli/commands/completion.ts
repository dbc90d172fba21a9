import type { Command } from "../command.ts";

export const completionCommand: Command = {
  name: "completion",
  summary: "Prints a script that completes commands and flags in a shell.",
  usage: "completion bash|zsh|fish",
  description: [
    "bash: `source <(pilotfish completion bash)`. zsh: `pilotfish completion zsh > ~/.zfunc/_pilotfish` in a folder of $fpath. " +
      "fish: `pilotfish completion fish | source`.",
  ],
  options: [],
  unknownFlags: "error",
  exitCodes: [],
  load: () => import("../run-completion.ts"),
};
