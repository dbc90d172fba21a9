import { outOfMemoryKills, provenOutOfMemory } from "../process/out-of-memory.ts";
import { readText } from "../system/files.ts";

/** Remembers the container's out-of-memory counter at the start; `proven` compares it with now. */
export function memoryWatch(): { readonly proven: () => boolean } {
  const read = (path: string): string | undefined => readText(path, 65_536);
  const before = outOfMemoryKills(read);
  return { proven: () => provenOutOfMemory(before, outOfMemoryKills(read)) };
}
