import { Refused } from "../foundation/errors.ts";
import { readText } from "../system/files.ts";
import { type InterfaceAddress, interfaceAddresses } from "../system/network.ts";
import { environment } from "../system/process.ts";
import { type Finished, findProgram, runProgram } from "../system/programs.ts";

/** What capture sees of the outside. Tests hand in one that works in a network namespace of their own. */
export interface World {
  /** Runs a program to its end; never throws. */
  run(program: string, args: readonly string[], input?: string): Promise<Finished>;
  /** Whether PATH has the program. */
  has(program: string): boolean;
  /** A file's text; undefined when there is none or it can't be read. */
  read(path: string): string | undefined;
  addresses(): Promise<readonly InterfaceAddress[]>;
}

/** A stuck xtables lock ends by --wait after 30 s; everything else takes milliseconds. */
const LONGEST_RUN = 60_000;
/** Rule sets of a node (not a pod) can be large. */
const MOST_OUTPUT = 64 * 1024 * 1024;

/** Where distributions keep nft and iptables, for an environment whose PATH lacks the system folders. */
const systemFolders = "/usr/sbin:/sbin:/usr/bin:/bin";

export function realWorld(): World {
  const env = new Map(environment());
  const path = [env.get("PATH") ?? "", systemFolders].filter((part) => part !== "").join(":");
  env.set("PATH", path);
  env.set("LC_ALL", "C");
  return {
    run: (program, args, input) =>
      runProgram(findProgram(program, path) ?? program, args, {
        environment: env,
        timeout: LONGEST_RUN,
        limit: MOST_OUTPUT,
        ...(input === undefined ? {} : { input }),
      }),
    has: (program) => findProgram(program, path) !== undefined,
    read: (file) => {
      try {
        return readText(file);
      } catch {
        return undefined;
      }
    },
    addresses: () => Promise.resolve(interfaceAddresses()),
  };
}

export const succeeded = (finished: Finished): boolean => finished.exit.how === "exited" && finished.exit.code === 0;

/** Why a program failed, in one line. */
export function failure(finished: Finished): string {
  const { exit } = finished;
  const said = `${finished.stderr}\n${finished.stdout}`
    .split("\n")
    .map((line) => line.trim())
    .find((line) => line !== "");
  switch (exit.how) {
    case "exited":
      return said ?? `it ended with code ${exit.code}`;
    case "killed":
      return `it was ended by ${exit.signal}`;
    case "not-started":
      return exit.reason;
    case "timed-out":
      return `it did not end within ${LONGEST_RUN / 1000} s`;
  }
}

/** Capabilities as bit numbers of the kernel. */
export const capability = { setgid: 6, setuid: 7, netAdmin: 12, netRaw: 13, sysAdmin: 21 } as const;

/** Whether this process has a capability in effect; true when the kernel does not say. */
export function hasCapability(world: World, bit: number): boolean {
  const text = /^CapEff:\s*([0-9a-f]+)$/m.exec(world.read("/proc/self/status") ?? "")?.[1];
  return text === undefined || ((BigInt(`0x${text}`) >> BigInt(bit)) & 1n) === 1n;
}

/** Throws Refused with what to do: said before the first program fails in words of its own. */
export function requireCapability(world: World, name: "NET_ADMIN" | "NET_RAW"): void {
  if (hasCapability(world, name === "NET_ADMIN" ? capability.netAdmin : capability.netRaw)) return;
  const remedy = `add ${name} to the container's capabilities, or run as root`;
  throw new Refused(`cannot work on capture rules: CAP_${name} is missing; ${remedy}`);
}
