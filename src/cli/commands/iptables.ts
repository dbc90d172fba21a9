import type { Command } from "../command.ts";
import { iptablesOptions } from "./iptables-options.ts";

export const iptablesCommand: Command = {
  name: "iptables",
  aliases: ["istio-iptables"],
  summary: "Captures a pod's traffic: loads, checks, proves or removes the rules.",
  usage: "iptables [flags]",
  description: [
    "The init container's job. Options and the pod's addresses become rules with a reason each; they are loaded at " +
      "once, read back and compared in order. From whatever rules are there to the ones asked for, without an " +
      "instant in which a connection passes by the proxy; when that cannot be done, the kernel is left as it was.",
    "It runs as often as you like: rules that are as they should be are left alone.",
    "docs/capture.md explains every rule.",
  ],
  options: iptablesOptions,
  unknownFlags: "warn",
  exitCodes: [
    [1, "the rules could not be loaded or removed; the kernel is as before"],
    [126, "--check or --run-validation: the rules are not as they should be"],
  ],
  load: () => import("../run-iptables.ts"),
};
