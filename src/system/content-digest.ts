import { statSync } from "node:fs";

/** Loaded at the first hash: it costs a start some milliseconds and more than a megabyte. */
const sha256 = () => process.getBuiltinModule("node:crypto").createHash("sha256");

/** SHA-256 of texts, hex; the same only when every part is the same. */
export function textDigest(parts: readonly string[]): string {
  return sha256().update(JSON.stringify(parts)).digest("hex");
}

/**
 * What tells one file from the next at a path without reading it: device, inode, size and both times in nanoseconds.
 * Undefined when there is no such file.
 */
export function fileIdentity(path: string): string | undefined {
  try {
    const found = statSync(path, { bigint: true, throwIfNoEntry: false });
    return found?.isFile() === true ? identityOf(found) : undefined;
  } catch {
    return undefined;
  }
}

const identityOf = (found: {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}): string => [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(":");

const PIECE = 1024 * 1024;

/**
 * SHA-256 of a file's content with the identity that the content belongs to. Read piece by piece: binaries have a
 * hundred megabytes. Undefined when the file changed while it was read. Throws what the file system says.
 */
export async function fileDigest(
  path: string,
): Promise<{ readonly identity: string; readonly digest: string } | undefined> {
  // Loaded here: a proxy whose binary never changes does not pay for it.
  const { open } = await import("node:fs/promises");
  const file = await open(path, "r");
  try {
    const before = identityOf(await file.stat({ bigint: true }));
    const hash = sha256();
    const piece = Buffer.allocUnsafe(PIECE);
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, PIECE);
      if (bytesRead === 0) break;
      hash.update(piece.subarray(0, bytesRead));
    }
    const after = identityOf(await file.stat({ bigint: true }));
    return before === after ? { identity: after, digest: hash.digest("hex") } : undefined;
  } finally {
    await file.close();
  }
}
