/**
 * One class per reaction, not per cause. Every message reads "cannot X: why; what to do", lower case, no full stop,
 * values quoted. Bugs say "internal error".
 */

/** One thing that is wrong with what the user gave us. */
export interface Problem {
  /** The flag, variable, annotation or file and key, as the user wrote it. */
  readonly name: string;
  /** The value that was given, what is allowed, and what to do. */
  readonly text: string;
}

/** The arguments or the configuration cannot be used; carries every problem, not only the first. Exit code 64. */
export class InvalidConfig extends Error {
  override readonly name = "InvalidConfig";
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[], heading = "cannot use this configuration") {
    super(`${heading}:\n${problems.map((p) => `  ${p.name}: ${p.text}`).join("\n")}`);
    this.problems = problems;
  }
}

/** Something that we need is missing: a binary, a port, a right, a file. Exit code 69. */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
}

/** Somebody whom we asked said no, or the thing asked for did not work. Exit code 1. */
export class Refused extends Error {
  override readonly name = "Refused";
}

/** A bug of ours. Exit code 70. */
export class InternalError extends Error {
  override readonly name = "InternalError";
  constructor(what: string, options?: ErrorOptions) {
    super(`internal error: ${what}`, options);
  }
}

const nodeErrors: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EADDRINUSE: "address already in use",
  EADDRNOTAVAIL: "this machine has no such address",
  EAI_AGAIN: "the name servers do not answer",
  ECONNREFUSED: "connection refused: nobody listens there",
  ECONNRESET: "the connection was reset",
  EHOSTUNREACH: "no way to that host",
  EISDIR: "it is a directory",
  EMFILE: "too many open files",
  ENETUNREACH: "no way to that network",
  ENOENT: "no such file or directory",
  ENOEXEC: "it is not a program of this machine's kind",
  ENOSPC: "no space left on the device",
  ENOTDIR: "a part of the path is not a directory",
  ENOTFOUND: "no such host name",
  EPERM: "operation not permitted",
  EPIPE: "the other side has closed",
  EROFS: "the file system is read-only",
  ETIMEDOUT: "timed out",
  ETXTBSY: "the file is being written",
};

/** The code of a Node.js system error (`ENOENT`, …), or undefined. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** The one place where Node's error codes become words. */
export function describeError(error: unknown): string {
  const code = errorCode(error);
  const words = code === undefined ? undefined : nodeErrors[code];
  if (words !== undefined) return `${words} (${code})`;
  return error instanceof Error ? error.message : String(error);
}
