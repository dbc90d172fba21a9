import { outOfMemoryKills, provenOutOfMemory } from "../process/out-of-memory.ts";
import { readText } from "../system/files.ts";

export interface MemoryWatch {
  /** Whether the container's out-of-memory counter has gone up since the last question. */
  proven(): boolean;
  /** The last answer. */
  last(): boolean;
}

/** Remembers the container's out-of-memory counter at the start and at every question. */
export function memoryWatch(): MemoryWatch {
  const read = (path: string): string | undefined => readText(path, 65_536);
  let before = outOfMemoryKills(read);
  let answer = false;
  return {
    proven() {
      const now = outOfMemoryKills(read);
      answer = provenOutOfMemory(before, now);
      before = now ?? before;
      return answer;
    },
    last: () => answer,
  };
}
