import { type FSWatcher, statSync, watch } from "node:fs";
import type { Clock, Millis } from "../foundation/time.ts";

/**
 * Tells when something in a folder may have changed. Watches the folder and not its files: a watch on a file goes deaf
 * when the file is replaced by a rename, which is how Kubernetes changes mounted secrets (stack.md 6). A slow poll
 * catches lost events, a folder that appears later, and a folder that was replaced by another one.
 * One change gives several calls: whoever listens waits a moment, reads and compares.
 */
export function watchFolder(folder: string, clock: Clock, poll: Millis, onChange: () => void): () => void {
  let watcher: FSWatcher | undefined;
  let watched: string | undefined;
  let closed = false;

  const arm = (): void => {
    const there = identity(folder);
    if (there === watched) return;
    watcher?.close();
    watcher = undefined;
    watched = undefined;
    if (there === undefined) return;
    try {
      watcher = watch(folder, { persistent: false }, () => {
        if (!closed) onChange();
      });
      watcher.on("error", () => {
        watcher?.close();
        watched = undefined;
      });
      watched = there;
    } catch {
      // No inotify watch left, or the folder went away just now: the poll goes on.
    }
  };

  let cancel = (): void => undefined;
  const tick = (): void => {
    cancel = clock.after(poll, () => {
      if (closed) return;
      arm();
      onChange();
      tick();
    });
  };
  arm();
  tick();
  return () => {
    closed = true;
    cancel();
    watcher?.close();
  };
}

function identity(folder: string): string | undefined {
  const found = statSync(folder, { throwIfNoEntry: false, bigint: true });
  return found?.isDirectory() ? `${found.dev}:${found.ino}` : undefined;
}
