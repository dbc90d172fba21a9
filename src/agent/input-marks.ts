import type { Watched } from "../config/agent-config.ts";
import { fileIdentity, textDigest } from "../system/content-digest.ts";
import { readText } from "../system/files.ts";

/** Larger ones can't be read as a configuration either. */
const LIMIT = 16 * 1024 * 1024;

/**
 * Marks for an InputWatch: of a text the digest, read only when the file became another one; of a binary its identity,
 * because a hundred megabytes are read only when it matters.
 */
export function inputMarks(): (path: string, what: Watched) => string | undefined {
  const texts = new Map<string, { readonly identity: string; readonly digest: string }>();
  return (path, what) => {
    const identity = fileIdentity(path);
    if (identity === undefined || what === "binary") return identity;
    const before = texts.get(path);
    if (before?.identity === identity) return before.digest;
    const digest = digestOf(path);
    if (digest !== undefined) texts.set(path, { identity, digest });
    return digest;
  };
}

/** A file that can't be read is as good as none. */
function digestOf(path: string): string | undefined {
  try {
    const text = readText(path, LIMIT);
    return text === undefined ? undefined : textDigest([text]);
  } catch {
    return undefined;
  }
}
