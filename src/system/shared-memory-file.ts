import { closeSync, constants, fstatSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { errorCode } from "../foundation/errors.ts";
import { chance } from "./chance.ts";

/** A small file in memory (/dev/shm), as another program's shared memory appears to us. */
export interface SharedFile {
  /** The whole file, at most `limit` bytes of it. */
  readonly bytes: Buffer;
  readonly size: number;
  /** Owner. */
  readonly uid: number;
}

/**
 * Reads it; undefined when there is none. Throws what the file system says, also when it is a link or no plain file:
 * somebody else may have put it there.
 */
export function readSharedFile(path: string, limit: number): SharedFile | undefined {
  const file = openPlain(path, constants.O_RDONLY);
  if (file === undefined) return undefined;
  try {
    const { size, uid } = fstatSync(file);
    const bytes = Buffer.alloc(Math.min(limit, size));
    const got = readSync(file, bytes, 0, bytes.length, 0);
    return { bytes: bytes.subarray(0, got), size, uid };
  } finally {
    closeSync(file);
  }
}

/** Overwrites `bytes` at `offset` in a file that is there; false when there is none. */
export function writeIntoSharedFile(path: string, offset: number, bytes: Uint8Array): boolean {
  const file = openPlain(path, constants.O_RDWR);
  if (file === undefined) return false;
  try {
    return writeSync(file, bytes, 0, bytes.length, offset) === bytes.length;
  } finally {
    closeSync(file);
  }
}

function openPlain(path: string, flags: number): number | undefined {
  let file: number;
  try {
    // O_NONBLOCK: a pipe in its place must not make us wait.
    file = openSync(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  if (fstatSync(file).isFile()) return file;
  closeSync(file);
  throw new Error(`"${path}" is no plain file`);
}

/**
 * Makes, fills and removes a file of `size` bytes under a name of chance: whether the folder takes shared memory. Throws
 * what stands against it (ENOENT, EACCES, EROFS, ENOSPC).
 */
export function trySharedFile(folder: string, size: number): void {
  // Not node:crypto's: loading it costs a start more than this check does, and O_EXCL guards the name.
  const path = `${folder}/.pilotfish_${process.pid}_${chance().toString(36).slice(2)}`;
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  try {
    writeSync(file, Buffer.alloc(size));
  } finally {
    closeSync(file);
    rmSync(path, { force: true });
  }
}
