import type { Command } from "../command.ts";
import { proxyOptions } from "../options/proxy-options.ts";

export const bootstrapCommand: Command = {
  name: "bootstrap",
  summary: "Prints Envoy's bootstrap for the given arguments, or lets Envoy check it.",
  usage: "bootstrap [sidecar|router|waypoint] [flags]",
  description: [
    "Takes the flags, the environment and the files of `proxy`, and prints what Envoy would be started with. Nothing is " +
      "started and nothing is written. What there is to know about it goes to standard error.",
    "With --validate nothing is printed; the real Envoy reads the bootstrap in its validate mode, with the arguments that " +
      "`proxy` would give it, and its words are passed on.",
  ],
  options: [
    {
      name: "validate",
      kind: "boolean",
      summary: "Lets the real Envoy check the bootstrap, without starting it.",
      group: "This command",
    },
    {
      name: "show-secrets",
      kind: "boolean",
      summary: "Prints access tokens too; without it `[redacted]` stands for them.",
      group: "This command",
    },
    ...proxyOptions,
  ],
  unknownFlags: "warn",
  ownProblems: true,
  exitCodes: [
    [1, "Envoy did not answer in time"],
    [69, "something needed is missing: the Envoy binary"],
  ],
  load: () => import("../run-bootstrap.ts"),
};
