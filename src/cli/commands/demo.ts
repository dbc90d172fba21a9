import type { Command } from "../command.ts";

export const demoCommand: Command = {
  name: "demo",
  summary: "Shows the main job on this machine: a real Envoy, an example application, everything on loopback.",
  usage: "demo [--once]",
  description: [
    "Starts a small application and `pilotfish proxy` in front of it, waits for readiness, sends a request through " +
      "Envoy, reads the merged metrics, and waits for Ctrl-C. Every step is checked.",
  ],
  options: [
    { name: "once", kind: "boolean", summary: "Ends by itself after the steps; exit code 1 if one of them failed." },
  ],
  unknownFlags: "error",
  signals: "own",
  exitCodes: [
    [1, "a step failed"],
    [69, "there is no Envoy, or a port could not be had"],
  ],
  load: () => import("../demo/run-demo.ts"),
};
