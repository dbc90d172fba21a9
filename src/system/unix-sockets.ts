import { chmodSync, lstatSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { dirname } from "node:path";
import { describeError, Unavailable } from "../foundation/errors.ts";
import { ensureDirectory, removeFile } from "./files.ts";
import { claimSocketPath } from "./unix-socket.ts";

export interface UnixListener {
  /** Ends the accepting, destroys nothing that was accepted, removes the socket file. */
  close(): Promise<void>;
}

/**
 * Listens on a unix socket. Cheap: bound when the promise's first synchronous part has run; who connects from then on
 * waits in the kernel's queue. A missing directory is made with mode 0700, an existing one keeps its mode. A stale
 * socket file is removed; one that answers belongs to somebody else and is an error (Unavailable).
 */
export async function listenUnix(
  path: string,
  options: {
    readonly mode: number;
    /** Of a directory that has to be made; 0700 by default. */
    readonly directoryMode?: number;
    readonly onSocket: (socket: Socket) => void;
  },
): Promise<UnixListener> {
  ensureDirectory(dirname(path), options.directoryMode ?? 0o700);
  await claimSocketPath(path);
  // Paused: not a byte is read before the part that speaks the protocol is loaded.
  const server = createServer({ pauseOnConnect: true }, options.onSocket);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      reject(new Unavailable(`cannot listen on "${path}": ${describeError(error)}`, { cause: error }));
    });
    // The bind is synchronous: under this umask nobody else can connect before the mode below is set.
    const before = process.umask(0o177);
    try {
      server.listen(path, resolve);
    } finally {
      process.umask(before);
    }
  });
  chmodSync(path, options.mode);
  server.on("error", () => undefined);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        removeFile(path);
        server.unref();
        resolve();
      }),
  };
}

/** Whether somebody accepts connections on this unix socket. */
export function answers(path: string): Promise<boolean> {
  if (!isSocket(path)) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

function isSocket(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSocket() ?? false;
}
