import { closeSync, constants, openSync, writeSync } from "node:fs";

/** Kubernetes' default terminationMessagePath; mounted into the container, so it can be written but not replaced. */
export const TERMINATION_LOG = "/dev/termination-log";

/** Leaves the last message of this container where there is a file for it; false when there is none to write to. */
export function writeTerminationMessage(text: string, path = TERMINATION_LOG): boolean {
  let file: number;
  try {
    // No O_CREAT: outside Kubernetes nothing may appear in /dev.
    file = openSync(path, constants.O_WRONLY | constants.O_TRUNC | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return false;
  }
  try {
    writeSync(file, text);
    return true;
  } catch {
    return false;
  } finally {
    closeSync(file);
  }
}
