import { pipeline } from "node:stream/promises";
import { getHeapSnapshot, getHeapSpaceStatistics, getHeapStatistics } from "node:v8";

/** What this process keeps in memory, in bytes, as V8 and the kernel count it. */
export function memoryFacts(): { readonly [group: string]: { readonly [name: string]: number } } {
  const spaces = getHeapSpaceStatistics().map((one) => [one.space_name, one.space_used_size] as const);
  return {
    process: { ...process.memoryUsage() },
    heap: { ...getHeapStatistics() },
    spacesUsed: Object.fromEntries(spaces),
  };
}

/**
 * Streams a heap snapshot, as the browser's developer tools read it. It stops the process for a moment and holds every
 * string there is, secrets too: only for whom the kernel knows to be us or root.
 */
export async function writeHeapSnapshot(to: NodeJS.WritableStream, signal: AbortSignal): Promise<void> {
  await pipeline(getHeapSnapshot(), to, { signal });
}

/**
 * A CPU profile of the next `duration` ms as JSON (`.cpuprofile`). Ends early, with what it has, when `signal` aborts.
 * One at a time: a second one meanwhile rejects.
 */
export async function cpuProfile(duration: number, signal: AbortSignal): Promise<string> {
  const { Session } = await import("node:inspector/promises");
  const session = new Session();
  session.connect();
  try {
    await session.post("Profiler.enable");
    await session.post("Profiler.start");
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, duration);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    });
    const { profile } = await session.post("Profiler.stop");
    return JSON.stringify(profile);
  } finally {
    session.disconnect();
  }
}
