import { chmodSync, lstatSync, rmSync } from "node:fs";
import { createConnection } from "node:net";
import { describeError, errorCode, Unavailable } from "../foundation/errors.ts";

/** sun_path of Linux, without the zero at its end. */
const LONGEST_PATH = 107;
/** How long whoever holds the socket has to take a connection; more than enough for a live process. */
const ANSWER_WITHIN = 500;

/**
 * Makes way for a listener on a unix socket's path: the file that a dead process left is removed, a live one is not.
 * Throws Unavailable when somebody listens there, or when something else lies there.
 */
export async function claimSocketPath(path: string): Promise<void> {
  const length = Buffer.byteLength(path);
  if (length > LONGEST_PATH) {
    const why = `its path has ${length} bytes, a unix socket's has ${LONGEST_PATH} at most`;
    throw new Unavailable(`cannot listen on "${path}": ${why}; use a shorter --configPath`);
  }
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isSocket())
    throw new Unavailable(`cannot listen on "${path}": a file that is no socket lies there; remove it`);
  const answer = await connectOnce(path);
  if (answer === "gone") return;
  if (answer !== "stale")
    throw new Unavailable(`cannot listen on "${path}": ${answer}; stop that process, or use another --configPath`);
  rmSync(path, { force: true });
}

/** The owner (and root) only. Called right after the bind, before anybody was told the path. */
export function protectSocket(path: string): void {
  chmodSync(path, 0o600);
}

/** "stale": nobody listens; "gone": no file any more; anything else: why it can't be taken. */
function connectOnce(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = createConnection({ path });
    const timer = setTimeout(() => end("another process holds it and does not answer"), ANSWER_WITHIN);
    const end = (answer: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => end("another process listens there"));
    socket.once("error", (error) => {
      if (errorCode(error) === "ECONNREFUSED") end("stale");
      else if (errorCode(error) === "ENOENT") end("gone");
      else end(describeError(error));
    });
  });
}
