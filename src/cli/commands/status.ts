import type { Command } from "../command.ts";

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
    {
      name: "socket",
      kind: "string",
      placeholder: "PATH",
      default: "./etc/istio/proxy/pilotfish.sock",
      summary: "The proxy's unix socket.",
    },
    {
      name: "statusPort",
      kind: "number",
      placeholder: "PORT",
      default: "15020",
      summary: "The proxy's status port on loopback; given, the socket is not tried.",
    },
    { name: "timeout", kind: "duration", default: "10s", summary: "How long one answer may take." },
  ],
  unknownFlags: "error",
  exitCodes: [
    [1, "the proxy refused, or did not answer in time"],
    [69, "no proxy is there"],
  ],
  load: () => import("../run-status.ts"),
};
