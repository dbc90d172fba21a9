import { spawn } from "node:child_process";
import { CannotStartProgram } from "./programs.ts";

/**
 * Runs this program again, with other arguments, inside the network namespace of a path (`/run/netns/x`,
 * `/proc/123/ns/net`); its output is ours. The answer is its exit code, 1 when a signal ended it. Throws
 * CannotStartProgram when there is no nsenter. (Entering in this process would leave its other threads outside.)
 */
export function runSelfInNetworkNamespace(
  path: string,
  args: readonly string[],
  environment: ReadonlyMap<string, string>,
): Promise<number> {
  const [, script = ""] = process.argv;
  const self = [process.execPath, ...process.execArgv, script, ...args];
  return new Promise((resolve, reject) => {
    const child = spawn("nsenter", [`--net=${path}`, "--", ...self], {
      stdio: "inherit",
      env: Object.fromEntries(environment),
    });
    child.once("error", (error) => reject(new CannotStartProgram("nsenter", error)));
    child.once("exit", (code) => resolve(code ?? 1));
  });
}
