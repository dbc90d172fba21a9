import { readText } from "./files.ts";

/** How many descriptors this process may have open (Node raises it to the hard limit itself); undefined when not told. */
export function openFilesLimit(): number | undefined {
  const found = /^Max open files\s+(\d+)/m.exec(readText("/proc/self/limits") ?? "")?.[1];
  return found === undefined ? undefined : Number(found);
}
