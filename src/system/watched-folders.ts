import { dirname } from "node:path";
import type { Clock, Millis } from "../foundation/time.ts";
import { resolvedPath } from "./files.ts";
import { watchFolder } from "./folder-watch.ts";

/** The folders in which a change of these files shows: their own, and those of what their symbolic links lead to. */
function foldersOf(paths: readonly string[]): ReadonlySet<string> {
  return new Set(
    paths.flatMap((path) => {
      const target = resolvedPath(path);
      return [dirname(path), ...(target === undefined ? [] : [dirname(target)])];
    }),
  );
}

/** Watches the folders of some files; `follow` is told again when links or the files themselves may have changed. */
export class WatchedFolders {
  readonly #clock: Clock;
  readonly #poll: Millis;
  readonly #onEvent: () => void;
  #watches = new Map<string, () => void>();

  /** `poll`: a lost event is noticed so late at most. `onEvent` comes often and says only that it is worth a look. */
  constructor(clock: Clock, poll: Millis, onEvent: () => void) {
    this.#clock = clock;
    this.#poll = poll;
    this.#onEvent = onEvent;
  }

  follow(paths: readonly string[]): void {
    const wanted = foldersOf(paths);
    for (const [folder, close] of this.#watches) {
      if (wanted.has(folder)) continue;
      close();
      this.#watches.delete(folder);
    }
    for (const folder of wanted) {
      if (this.#watches.has(folder)) continue;
      this.#watches.set(folder, watchFolder(folder, this.#clock, this.#poll, this.#onEvent));
    }
  }

  close(): void {
    for (const close of this.#watches.values()) close();
    this.#watches.clear();
  }
}
