import type { Command } from "../command.ts";

export const waitCommand: Command = {
  name: "wait",
  summary: "Waits until the proxy, or anything else, is ready; then runs a command if one is given.",
  usage: "wait [--for TARGET]... [--then-quit] [flags] [-- COMMAND ARGUMENTS...]",
  description: [
    "Asks again and again until the answer is yes, and tells on standard error what it still waits for: one line on a " +
      "terminal, else a line for each new reason. In a pod it is the postStart hook of the proxy's container, which " +
      "holds back the application, or an init container that waits for a database.",
    "A TARGET is tcp://HOST:PORT (a connection that lasts), http://… or https://… (2xx), grpc://HOST:PORT[/SERVICE] " +
      "(grpc.health.v1), dns:NAME (it has an address), file:/PATH (it is there), or proxy (the proxy of this pod). " +
      "Several are asked side by side, and each counts from its first yes.",
    "A command behind -- takes our place when all is ready: same process id, standard streams and environment; its " +
      "exit code is ours. With --then-quit it runs below us with every signal passed on, and then the sidecar is asked " +
      "to end, also when the time was over: a Job in a pod with a classic sidecar ends no other way.",
  ],
  options: [
    {
      name: "for",
      kind: "string",
      placeholder: "TARGET",
      repeatable: true,
      summary: "What to wait for; may be given several times. Without it, the proxy.",
    },
    {
      name: "url",
      kind: "string",
      placeholder: "URL",
      default: "http://localhost:15021/healthz/ready",
      summary: "What is asked; without it the port follows ENVOY_STATUS_PORT, and with --for nothing is asked here.",
    },
    {
      name: "timeoutSeconds",
      kind: "number",
      placeholder: "SECONDS",
      default: "60",
      summary: "How long to wait altogether, for all targets; 0 asks once.",
    },
    {
      name: "requestTimeoutMillis",
      kind: "number",
      placeholder: "MILLISECONDS",
      default: "500",
      summary: "How long one answer may take; with --for the default is 2000.",
    },
    {
      name: "periodMillis",
      kind: "number",
      placeholder: "MILLISECONDS",
      default: "500",
      summary: "Pause between two questions; with --for the first pause, each further one is half longer.",
    },
    {
      name: "maxPeriodMillis",
      kind: "number",
      placeholder: "MILLISECONDS",
      summary: "Longest pause between two questions; 5000 with --for, otherwise pauses do not grow.",
    },
    { name: "insecure", kind: "boolean", summary: "Takes any certificate of an https target." },
    {
      name: "then-quit",
      kind: "boolean",
      summary: "Asks the sidecar to end when the command has ended; the exit code stays the command's.",
    },
    {
      name: "socket",
      kind: "string",
      placeholder: "PATH",
      default: "./etc/istio/proxy/pilotfish.sock",
      summary: "Unix socket of the sidecar for --then-quit; tried before loopback when it is there.",
    },
    {
      name: "statusPort",
      kind: "number",
      placeholder: "PORT",
      default: "15020",
      summary: "Port of the sidecar on loopback for --then-quit.",
    },
  ],
  unknownFlags: "warn",
  exitCodes: [
    [1, "not ready within the time"],
    [126, "the command could not be run"],
    [127, "there is no such command; every other code is the command's own, 128 + n when signal n ended it"],
  ],
  signals: "own",
  load: () => import("../run-wait.ts"),
};
