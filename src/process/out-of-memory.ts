/**
 * Proof that the kernel killed for memory: the counter of the container's memory cgroup went up. Without it a SIGKILL
 * is only a SIGKILL.
 */

/** Where the counter stands, as seen from inside a container. v2 first (kernel: Admin Guide, cgroup-v2, memory.events). */
export const memoryEventFiles = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"] as const;

/**
 * `oom_kill N` of memory.events (v2) or memory.oom_control (v1, since Linux 4.13); undefined when the text has none.
 */
export function readKills(text: string | undefined): number | undefined {
  const found = /^oom_kill (\d+)$/m.exec(text ?? "");
  return found === null ? undefined : Number(found[1]);
}

/** The counter now, through `read` (a file's text or undefined); undefined when this machine has none. */
export function outOfMemoryKills(read: (path: string) => string | undefined): number | undefined {
  for (const path of memoryEventFiles) {
    const kills = readKills(safely(read, path));
    if (kills !== undefined) return kills;
  }
  return undefined;
}

function safely(read: (path: string) => string | undefined, path: string): string | undefined {
  try {
    return read(path);
  } catch {
    return undefined;
  }
}

/** True only when both counts are known and the later one is larger. */
export function provenOutOfMemory(before: number | undefined, after: number | undefined): boolean {
  return before !== undefined && after !== undefined && after > before;
}
