import type { Command } from "../command.ts";
import { proxyOptions } from "../options/proxy-options.ts";

export const proxyCommand: Command = {
  name: "proxy",
  summary: "Runs Envoy as a sidecar or gateway: the entrypoint of the container.",
  usage: "proxy [sidecar|router|waypoint] [flags]",
  description: [
    "Turns flags, environment, mesh file, pod information and PROXY_CONFIG into Envoy's bootstrap, starts Envoy, answers " +
      "readiness and metrics, reaps orphans, and ends when it is asked to.",
    "Every flag of pilot-agent is read, also those that Envoy or Istio no longer know. An unknown flag is one warning.",
  ],
  options: proxyOptions,
  unknownFlags: "warn",
  ownProblems: true,
  signals: "own",
  exitCodes: [
    [1, "Envoy died more often than its budget allows, or while it was drained without a stop"],
    [69, "something needed is missing: the Envoy binary, a port, a directory"],
    [70, "internal error"],
  ],
  load: () => import("../run-proxy.ts"),
};
