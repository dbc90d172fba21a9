import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../eventually.ts";

/** A memory cgroup, seen from inside as a container sees its own. */
export interface MemoryContainer {
  /** Words that run a program in it. */
  readonly prefix: readonly string[];
  /** Fills it up until the kernel has killed that process. */
  killForMemory(pid: number): Promise<void>;
  remove(): Promise<void>;
}

const old = "/sys/fs/cgroup/memory";
/** Version 1 where it is mounted, else version 2. */
const version1 = (): boolean => existsSync(join(old, "memory.oom_control"));
let serial = 0;

export function memoryContainer(limit: string): MemoryContainer {
  const mount = version1() ? old : "/sys/fs/cgroup";
  const own = join(mount, `pilotfish-fault-${process.pid}-${serial++}`);
  mkdirSync(own);
  writeFileSync(join(own, version1() ? "memory.limit_in_bytes" : "memory.max"), limit);
  const enter = `echo $$ > ${own}/cgroup.procs && mount --bind ${own} ${mount}; exec "$@"`;
  return {
    prefix: ["unshare", "--mount", "sh", "-c", enter, "sh"],
    killForMemory: (pid) => fill(own, pid),
    async remove() {
      await eventually("the cgroup is empty", () => readFileSync(join(own, "cgroup.procs"), "utf8") === "");
      rmdirSync(own);
    },
  };
}

/** Takes memory in steps and ends when the process is gone; itself it is the last one that the kernel would choose. */
const filler = `
import os, sys
pid, own = int(sys.argv[1]), sys.argv[2]
open("/proc/self/oom_score_adj", "w").write("-1000")
open(f"/proc/{pid}/oom_score_adj", "w").write("1000")
open(own + "/cgroup.procs", "w").write(str(os.getpid()))
def there():
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False
kept = []
while there():
    kept.append(b"x" * (1 << 20))
`;

async function fill(own: string, pid: number): Promise<void> {
  const child = spawn("python3", ["-c", filler, String(pid), own], { stdio: ["ignore", "inherit", "inherit"] });
  await new Promise<void>((resolve) => child.once("exit", () => resolve()));
}
