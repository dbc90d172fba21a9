import { type ChildProcess, spawn } from "node:child_process";
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

/** A new network namespace, kept by a process that does nothing else and dies with us. */
export interface HeldNamespace {
  readonly pid: number;
  /** Starts a program inside; its output goes nowhere. */
  start(program: string, args: readonly string[]): void;
  /** Ends the holder and all that was started; with the last of them the kernel takes the namespace away. */
  end(): void;
}

/** Resolves when the namespace is there. Needs CAP_SYS_ADMIN, and the programs unshare, nsenter, setpriv. */
export function holdNetworkNamespace(environment: ReadonlyMap<string, string>): Promise<HeldNamespace> {
  const env = Object.fromEntries(environment);
  const children: ChildProcess[] = [];
  // setpriv execs: the pid of the child is the pid of the program.
  const begin = (words: readonly string[], output: "pipe" | "ignore"): ChildProcess => {
    const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", ...words], {
      stdio: ["ignore", output, "ignore"],
      detached: true,
      env,
    });
    child.on("error", () => undefined);
    children.push(child);
    return child;
  };
  const holder = begin(["unshare", "--net", "--", "sh", "-c", "ip link set lo up; echo ready; exec sleep 300"], "pipe");
  return new Promise((resolve, reject) => {
    const end = (): void => {
      for (const child of children) child.kill("SIGKILL");
    };
    holder.once("error", (error) => reject(new CannotStartProgram("setpriv", error)));
    holder.once("exit", () => reject(new CannotStartProgram("unshare", new Error("no new network namespace"))));
    holder.stdout?.once("data", () => {
      const pid = holder.pid ?? 0;
      resolve({
        pid,
        end,
        start: (program, args) => void begin(["nsenter", "-t", String(pid), "-n", "--", program, ...args], "ignore"),
      });
    });
  });
}
