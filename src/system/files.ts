import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { errorCode } from "../foundation/errors.ts";

/** Files are small and local here: synchronous calls, so that nothing else happens between two steps. */

/** A file's text, at most `limit` bytes (more is an error); undefined when there is no such file. */
export function readText(path: string, limit = 16 * 1024 * 1024): string | undefined {
  const bytes = readBytes(path, limit);
  return bytes?.toString("utf8");
}

/** A file's bytes, at most `limit` (more is an error); undefined when there is no such file. */
export function readBytes(path: string, limit = 16 * 1024 * 1024): Buffer | undefined {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    if (fstatSync(file).isDirectory()) throw Object.assign(new Error(`${path} is a directory`), { code: "EISDIR" });
    return readAll(path, file, limit);
  } finally {
    closeSync(file);
  }
}

/** Files of /proc and /sys say size 0: read until the end, not the size. */
function readAll(path: string, file: number, limit: number): Buffer {
  const parts: Buffer[] = [];
  let size = 0;
  for (;;) {
    const part = Buffer.allocUnsafe(65_536);
    const got = readSync(file, part);
    if (got === 0) return Buffer.concat(parts, size);
    size += got;
    if (size > limit) throw new Error(`${path} has more than ${limit} bytes`);
    parts.push(part.subarray(0, got));
  }
}

/**
 * Writes the whole file under a temporary name beside it, then renames: a reader sees the old text or the new one,
 * never half of one, and nothing is left behind after an error. `mode` holds whatever the umask is.
 */
export function writeWhole(path: string, content: string | Buffer, mode: number): void {
  const temporary = `${path}.${process.pid}.new`;
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  try {
    const file = openSync(temporary, "w", 0o600);
    try {
      for (let sent = 0; sent < bytes.length; ) sent += writeSync(file, bytes, sent);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    chmodSync(temporary, mode);
    renameSync(temporary, path);
  } catch (error) {
    removeFile(temporary);
    throw error;
  }
}

/** Removes a file or a folder with all in it; nothing happens when there is none or when it can't be removed. */
export function removeFile(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // A leftover is no reason to fail on the way out.
  }
}

/** Makes the directory (and those above it) when it is not there. An existing one keeps its mode. */
export function ensureDirectory(path: string, mode: number): void {
  try {
    mkdirSync(path, { recursive: true, mode });
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    makeEach(path, mode);
  }
}

/** Node's recursive mkdir says ENOENT on a read-only file system; one folder at a time tells the real reason. */
function makeEach(path: string, mode: number): void {
  if (fileExists(path)) return;
  if (dirname(path) !== path) makeEach(dirname(path), mode);
  mkdirSync(path, { mode });
}

export type Executable = "yes" | "missing" | "directory" | "not-executable";

/** Whether this process may execute the file. */
export function executable(path: string): Executable {
  try {
    if (statSync(path).isDirectory()) return "directory";
    accessSync(path, constants.X_OK);
    return "yes";
  } catch (error) {
    return errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR" ? "missing" : "not-executable";
  }
}

export function fileExists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Names in a folder, sorted; empty when there is no such folder. */
export function listFolder(path: string): readonly string[] {
  try {
    return readdirSync(path).sort();
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

/** The path with every symbolic link resolved; undefined when a part is missing. */
export function resolvedPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
