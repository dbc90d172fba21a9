import { isPid1 } from "../system/process.ts";
import { findProgram } from "../system/programs.ts";

/**
 * Whether the kernel can be asked to end Envoy with us. As PID 1 it does so anyway: the whole namespace goes. Without
 * setpriv (another distribution) Envoy would outlive a SIGKILL of ours; the agent says so once.
 */
export function deathBond(env: ReadonlyMap<string, string>): "namespace" | "setpriv" | "none" {
  if (isPid1) return "namespace";
  return findProgram("setpriv", env.get("PATH") ?? "/usr/bin:/bin") === undefined ? "none" : "setpriv";
}
