import { readText } from "./files.ts";

/** cgroup v2, then v1, as they look from inside a container. */
const files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/** v1 says "no limit" with a number that no machine has. */
const NO_LIMIT = 2 ** 60;

/** How much memory this container may use, in bytes, Envoy's included; undefined without a limit. */
export function memoryLimit(): number | undefined {
  for (const file of files) {
    const text = limitText(file)?.trim();
    if (text === undefined) continue;
    const bytes = Number(text);
    return /^\d+$/.test(text) && bytes < NO_LIMIT ? bytes : undefined;
  }
  return undefined;
}

function limitText(file: string): string | undefined {
  try {
    return readText(file, 64);
  } catch {
    return undefined;
  }
}
