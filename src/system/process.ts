import { writeSync } from "node:fs";

/** The process itself: the only place that reads `process`. */

export const selfPid = process.pid;
export const isPid1 = process.pid === 1;

/** The environment as it was at the start. Empty values are kept: some of Istio's variables mean something empty. */
export function environment(): ReadonlyMap<string, string> {
  const out = new Map<string, string>();
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) out.set(name, value);
  return out;
}

/** Effective user id; 0 is root. */
export const effectiveUid = (): number => process.geteuid?.() ?? -1;
export const effectiveGid = (): number => process.getegid?.() ?? -1;

/**
 * Writes all of `text` to a descriptor at once. A full pipe is waited for; a closed one is given up silently: a
 * supervisor must not die of its own log.
 */
export function writeTo(descriptor: 1 | 2, text: string | Uint8Array): void {
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  let sent = 0;
  while (sent < bytes.length) {
    try {
      sent += writeSync(descriptor, bytes, sent);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

/** Ends this process; only main.ts and the last net of the agent call it. */
export function exitNow(code: number): never {
  process.exit(code);
}

/** Sends a signal to a process (or, negative, to a group). "gone" when there is nobody. */
export function sendSignal(pid: number, signal: NodeJS.Signals | 0): "sent" | "gone" | "refused" {
  try {
    process.kill(pid, signal);
    return "sent";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH" ? "gone" : "refused";
  }
}
