import type { Command } from "../command.ts";
import { controlOptions } from "../control-targets.ts";

export const hotRestartCommand: Command = {
  name: "hot-restart",
  summary: "Replaces the Envoy of this pod by a new one, without a lost request.",
  usage: "hot-restart [--wait] [--strategy auto|swap] [--ignore-memory] [--json] [--socket PATH | --statusPort PORT]",
  description: [
    "Everything is checked before anything is touched: the bootstrap is rendered anew and validated by Envoy, memory " +
      "must suffice for two Envoys, and the control plane must answer. docs/hot-restart.md tells the whole.",
    "Without --wait it ends as soon as the request is taken; --wait stays until it is known what became of it.",
  ],
  options: [
    {
      name: "wait",
      kind: "boolean",
      summary: "Stays until the new Envoy serves, or until it is known that none does.",
    },
    {
      name: "strategy",
      kind: "string",
      placeholder: "HOW",
      default: "auto",
      summary:
        "`auto`: a hot restart, or a swap where that cannot be. `swap`: both serve side by side until the new one has proved itself.",
    },
    {
      name: "ignore-memory",
      kind: "boolean",
      summary: "Goes on although the container's memory may not suffice for two Envoys.",
    },
    { name: "json", kind: "boolean", summary: "The outcome as JSON, for programs; with --wait." },
    { name: "timeout", kind: "duration", default: "5m", summary: "How long --wait waits; the restart itself goes on." },
    ...controlOptions,
  ],
  unknownFlags: "error",
  exitCodes: [
    [1, "the restart was refused, failed, or was not over in time"],
    [69, "no proxy is there"],
  ],
  load: () => import("../run-hot-restart.ts"),
};
