import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { removeFile } from "./files.ts";
import { selfPid, sendSignal } from "./process.ts";

export interface PrivateFolder {
  /** Absolute, mode 0700, nobody else's. */
  readonly path: string;
  remove(): void;
}

/**
 * A folder of this process alone below `parent`, or below the system's temporary one when its path would be longer than
 * `longest` characters: the paths of sockets are short. Throws the file system's error.
 */
export function privateFolder(parent: string, name: string, longest: number): PrivateFolder {
  const wanted = resolve(parent);
  const suffix = `/${name}-${selfPid}-${"x".repeat(6)}`;
  const base = wanted.length + suffix.length <= longest ? wanted : tmpdir();
  for (let n = 0; ; n += 1) {
    const path = join(base, `${name}-${selfPid}-${n}`);
    if (existsSync(path)) continue;
    mkdirSync(path, { mode: 0o700 });
    return { path, remove: () => removeFile(path) };
  }
}

/**
 * Folders of that name that processes left behind that are not alive any more; one with our own process id is from the
 * life before this one, when the container's first process always has the same.
 */
export function abandonedFolders(parent: string, name: string): readonly string[] {
  const entry = new RegExp(`^${name}-(\\d+)-\\d+$`);
  return entries(parent).flatMap((one) => {
    const pid = Number(entry.exec(one)?.[1] ?? Number.NaN);
    if (!Number.isInteger(pid) || (pid !== selfPid && sendSignal(pid, 0) !== "gone")) return [];
    return [join(resolve(parent), one)];
  });
}

function entries(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
