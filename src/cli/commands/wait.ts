import type { Command } from "../command.ts";

export const waitCommand: Command = {
  name: "wait",
  summary: "Waits until the proxy is ready.",
  usage: "wait [flags]",
  description: [
    "Asks again and again until the answer is 2xx, and tells on standard error what it still waits for. In a pod it is the " +
      "postStart hook of the proxy's container, which holds back the application.",
  ],
  options: [
    {
      name: "url",
      kind: "string",
      placeholder: "URL",
      default: "http://localhost:15021/healthz/ready",
      summary: "What is asked; without it the port follows ENVOY_STATUS_PORT.",
    },
    {
      name: "timeoutSeconds",
      kind: "number",
      placeholder: "SECONDS",
      default: "60",
      summary: "How long to wait altogether; 0 asks once.",
    },
    {
      name: "requestTimeoutMillis",
      kind: "number",
      placeholder: "MILLISECONDS",
      default: "500",
      summary: "How long one answer may take.",
    },
    {
      name: "periodMillis",
      kind: "number",
      placeholder: "MILLISECONDS",
      default: "500",
      summary: "Pause between two questions.",
    },
  ],
  unknownFlags: "warn",
  exitCodes: [[1, "not ready within the time"]],
  load: () => import("../run-wait.ts"),
};
