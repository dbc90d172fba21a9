import type { Command } from "../command.ts";

export const requestCommand: Command = {
  name: "request",
  summary: "Sends a request to Envoy's admin or to our own status server, and prints the answer.",
  usage: "request [--debug-port PORT | --socket PATH] METHOD PATH [BODY]",
  description: [
    "Goes to loopback only, and only to ports of the proxy: 15000, 15004, 15020, 15021 and those that the environment or " +
      "--proxyAdminPort and --statusPort name instead. An answer other than 2xx is an error; its body is printed too.",
  ],
  options: [
    {
      name: "debug-port",
      kind: "number",
      placeholder: "PORT",
      default: "15000",
      summary: "Port of the proxy on loopback.",
    },
    {
      name: "socket",
      kind: "string",
      placeholder: "PATH",
      summary: "Unix socket instead of a port: ./etc/istio/proxy/pilotfish.sock has all routes of the status server.",
    },
    {
      name: "proxyAdminPort",
      kind: "number",
      placeholder: "PORT",
      summary: "Envoy's admin port, when it is not 15000; then also the default of --debug-port.",
    },
    {
      name: "statusPort",
      kind: "number",
      placeholder: "PORT",
      summary: "Our status port, when it is not 15020.",
    },
    { name: "timeout", kind: "duration", default: "60s", summary: "How long the answer may take." },
  ],
  unknownFlags: "warn",
  exitCodes: [
    [1, "the answer was no 2xx, or it did not come in time or whole"],
    [69, "nobody listens there"],
  ],
  load: () => import("../run-request.ts"),
};
