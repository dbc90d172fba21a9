import { readFileSync } from "node:fs";

/** Whether a process runs; a zombie has ended. */
export function alive(pid: number): boolean {
  try {
    const state = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").pop()?.[0];
    return state !== "Z" && state !== "X";
  } catch {
    return false;
  }
}
