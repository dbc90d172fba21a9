import { endOrphans } from "../system/last-resort.ts";
import { native } from "../system/native.ts";
import { installReaper } from "../system/orphans.ts";
import { isPid1 } from "../system/process.ts";
import type { AgentParts } from "./agent-parts.ts";
import { deathBond } from "./envoy-launch.ts";
import type { Stage } from "./stage.ts";

/**
 * Orphans become ours (as PID 1 by nature, else as subreaper) and are taken off the process table; what is left of them
 * at the end is ended. After Envoy's start, since the native calls take 8 ms to load.
 */
export function reaperStage({ log, env, config, metrics }: AgentParts): Stage {
  let uninstall: () => void = () => undefined;
  return {
    name: "reaper",
    start: () => {
      const calls = native();
      if (calls === undefined) {
        log.warn("Orphans are not reaped: the native calls (koffi) are not there; put an init such as tini in front");
        return;
      }
      if (!isPid1 && !calls.becomeSubreaper())
        log.warn("Orphans go to another process: the kernel refused us as subreaper");
      if (!config.envoy.disabled && deathBond(env) === "none") {
        log.warn("Envoy outlives us if we are killed: there is no setpriv in PATH (package util-linux)");
      }
      uninstall = installReaper(calls, () => metrics.count("pilotfish_orphans_reaped_total"));
    },
    stop: async () => {
      uninstall();
      const ended = await endOrphans(env.get("PATH") ?? "/usr/bin:/bin");
      if (ended.length > 0) log.info("Ended processes that were left below us", { pids: ended });
    },
  };
}
