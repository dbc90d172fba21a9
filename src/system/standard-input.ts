import { readFileSync } from "node:fs";
import { isatty } from "node:tty";

/** All of standard input as text; waits until the other side has closed it. */
export function readStandardInput(): string {
  const parts: Buffer[] = [];
  // A pipe that is not ready yet says EAGAIN; a file or a ready pipe is read at once.
  for (;;) {
    try {
      parts.push(readFileSync(0));
      return Buffer.concat(parts).toString("utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** Whether a descriptor is a terminal, for colours. */
export const isTerminal = (descriptor: 1 | 2): boolean => isatty(descriptor);
