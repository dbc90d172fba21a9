import { chmodSync } from "node:fs";
import { ensureDirectory, fileExists } from "./files.ts";

/**
 * Makes the folder when it is not there, with this mode whatever the umask is. One that is there keeps its mode when
 * `keep` says so, and gets this one otherwise.
 */
export function ensureFolder(path: string, mode: number, keep: boolean): void {
  const there = fileExists(path);
  ensureDirectory(path, mode);
  if (!there || !keep) chmodSync(path, mode);
}
