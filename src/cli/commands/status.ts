import type { Command } from "../command.ts";
import { controlOptions } from "../control-targets.ts";

export const statusCommand: Command = {
  name: "status",
  summary: "Shows the state of the proxy in this pod: readiness and why, Envoy's processes, the last events.",
  usage: "status [--json] [--watch] [--socket PATH | --statusPort PORT]",
  description: [
    "Asks the unix socket in the proxy's configuration directory, and loopback when there is no such socket here. " +
      "What is bad has a ! in front, what still waits a ~.",
    "The same page is at /status of the status port for a browser in this pod.",
  ],
  options: [
    { name: "json", kind: "boolean", summary: "The same as JSON, for programs." },
    { name: "watch", kind: "boolean", summary: "Shows it again and again until it is stopped (Ctrl-C)." },
    { name: "interval", kind: "duration", default: "1s", summary: "Pause between two pages of --watch." },
    ...controlOptions,
    { name: "timeout", kind: "duration", default: "10s", summary: "How long one answer may take." },
  ],
  unknownFlags: "error",
  exitCodes: [
    [1, "the proxy refused, or did not answer in time"],
    [69, "no proxy is there"],
  ],
  load: () => import("../run-status.ts"),
};
