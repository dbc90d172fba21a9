import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  statSync,
} from "node:fs";
import { removeFile, writeWhole } from "./files.ts";

/**
 * Copies a file under a temporary name beside its place, then renames: whoever starts it meanwhile gets the old one or
 * the new one, whole. One that has the same content already is left alone. `mode` holds whatever the umask is. The
 * size in bytes is given back. Throws Node's error.
 */
export function copyWhole(from: string, to: string, mode: number): { readonly size: number; readonly copied: boolean } {
  const { size } = statSync(from);
  if (sameContent(from, to)) {
    chmodSync(to, mode);
    return { size, copied: false };
  }
  const temporary = `${to}.${process.pid}.new`;
  try {
    copyFileSync(from, temporary, constants.COPYFILE_FICLONE);
    chmodSync(temporary, mode);
    renameSync(temporary, to);
  } catch (error) {
    removeFile(temporary);
    throw error;
  }
  return { size, copied: true };
}

/** The same for a text. */
export function placeText(text: string, to: string, mode: number): { readonly size: number; readonly copied: boolean } {
  writeWhole(to, text, mode);
  return { size: Buffer.byteLength(text), copied: true };
}

const PART = 1024 * 1024;

function sameContent(one: string, other: string): boolean {
  const there = statSync(other, { throwIfNoEntry: false });
  if (there === undefined || !there.isFile()) return false;
  const files = [openSync(one, "r"), openSync(other, "r")] as const;
  try {
    if (fstatSync(files[0]).size !== there.size) return false;
    const parts = [Buffer.allocUnsafe(PART), Buffer.allocUnsafe(PART)] as const;
    for (;;) {
      const got = readSync(files[0], parts[0]);
      if (readSync(files[1], parts[1]) !== got) return false;
      if (!parts[0].subarray(0, got).equals(parts[1].subarray(0, got))) return false;
      if (got === 0) return true;
    }
  } finally {
    for (const file of files) closeSync(file);
  }
}
