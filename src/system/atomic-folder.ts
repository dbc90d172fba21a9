import { lstatSync, mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { errorCode } from "../foundation/errors.ts";
import { ensureDirectory, writeWhole } from "./files.ts";

const DATA = "..data";

/**
 * Replaces a set of files in `folder` as one step, as the kubelet does it: the files are written into a new hidden
 * folder, the link `..data` is turned to it by one rename, and the plain names are links through `..data`. Who opens
 * `..data` once reads one set; who opens a plain name reads a whole file. The set before this one is kept, for
 * readers that are in the middle of it; older ones are removed.
 */
export function replaceFiles(folder: string, files: ReadonlyMap<string, string | Buffer>, mode: number): void {
  ensureDirectory(folder, 0o700);
  const before = linkTarget(`${folder}/${DATA}`);
  const fresh = freshName(folder);
  // Others may pass through, when the mode of the files lets them read at all.
  mkdirSync(`${folder}/${fresh}`, { mode: mode & 0o077 ? 0o755 : 0o700 });
  for (const [name, content] of files) writeWhole(`${folder}/${fresh}/${name}`, content, mode);
  turnLink(`${folder}/${DATA}`, fresh);
  for (const name of files.keys())
    if (linkTarget(`${folder}/${name}`) !== `${DATA}/${name}`) turnLink(`${folder}/${name}`, `${DATA}/${name}`);
  for (const name of readdirSync(folder))
    if (/^\.\.\d/.test(name) && name !== fresh && name !== before)
      rmSync(`${folder}/${name}`, { recursive: true, force: true });
}

function freshName(folder: string): string {
  for (let n = Date.now(); ; n += 1) {
    const name = `..${n}.${process.pid}`;
    if (lstatSync(`${folder}/${name}`, { throwIfNoEntry: false }) === undefined) return name;
  }
}

/** Makes or replaces a symbolic link by one rename; a plain file of that name is replaced too. */
function turnLink(path: string, target: string): void {
  const temporary = `${path}.${process.pid}.new`;
  rmSync(temporary, { force: true });
  symlinkSync(target, temporary);
  renameSync(temporary, path);
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "EINVAL") return undefined;
    throw error;
  }
}
