import { listFolder, readText } from "./files.ts";
import { ownChildren } from "./orphans.ts";
import { selfPid, sendSignal } from "./process.ts";
import { findProgram } from "./programs.ts";

/**
 * Ends what is still below us when everything else has ended: processes that left Envoy's group and were handed to us.
 * tree-kill looks for their descendants too; it asks `ps` and dies of an uncaught error where there is none, so it is
 * only used behind a look for `ps`, and a plain kill does otherwise.
 */
export async function endOrphans(searchPath: string): Promise<readonly number[]> {
  const own = ownChildren();
  const orphans = childrenOfSelf().filter((pid) => !own.has(pid));
  if (orphans.length === 0) return [];
  const treeKill = findProgram("ps", searchPath) === undefined ? undefined : (await import("tree-kill")).default;
  await Promise.all(orphans.map((pid) => endTree(pid, treeKill)));
  return orphans;
}

type TreeKill = (pid: number, signal: string, done: (error?: Error) => void) => void;

function endTree(pid: number, treeKill: TreeKill | undefined): Promise<void> {
  return new Promise((resolve) => {
    const plain = (): void => {
      sendSignal(pid, "SIGKILL");
      resolve();
    };
    if (treeKill === undefined) return plain();
    treeKill(pid, "SIGKILL", (error) => (error === undefined || error === null ? resolve() : plain()));
  });
}

/** Children of every thread of ours (kernel: CONFIG_PROC_CHILDREN); empty where /proc does not tell. */
function childrenOfSelf(): readonly number[] {
  try {
    return listFolder(`/proc/${selfPid}/task`).flatMap((thread) =>
      (readText(`/proc/${selfPid}/task/${thread}/children`) ?? "")
        .split(" ")
        .map(Number)
        .filter((pid) => pid > 1),
    );
  } catch {
    return [];
  }
}
