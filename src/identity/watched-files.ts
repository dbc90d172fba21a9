import { dirname } from "node:path";
import { describeError } from "../foundation/errors.ts";
import type { Clock, Millis } from "../foundation/time.ts";
import { readText, resolvedPath } from "../system/files.ts";
import { watchFolder } from "../system/folder-watch.ts";

/** Texts by path; undefined: not there. */
export type FileTexts = ReadonlyMap<string, string | undefined>;

export interface WatchedFiles {
  /** What the files said when they were last read. */
  readonly texts: FileTexts;
  close(): void;
}

/** A lost event or a replaced folder is noticed so late at most. */
const POLL: Millis = 60_000;

/**
 * Reads files now and whenever they change. Their folders are watched, and the folders of what their symbolic links
 * lead to, resolved anew after each change; a change is reported only when a content differs.
 */
export function watchFiles(
  paths: readonly string[],
  deps: {
    readonly clock: Clock;
    readonly debounce: Millis;
    readonly poll?: Millis;
    readonly onChange: (texts: FileTexts) => void;
    readonly onTrouble: (path: string, why: string) => void;
  },
): WatchedFiles {
  let watches = new Map<string, () => void>();
  let texts: FileTexts = new Map();
  let cancel: (() => void) | undefined;

  const arm = (): void => {
    const wanted = new Set(
      paths.flatMap((path) => {
        const target = resolvedPath(path);
        return [dirname(path), ...(target === undefined ? [] : [dirname(target)])];
      }),
    );
    const next = new Map<string, () => void>();
    for (const folder of wanted)
      next.set(folder, watches.get(folder) ?? watchFolder(folder, deps.clock, deps.poll ?? POLL, later));
    for (const [folder, close] of watches) if (!wanted.has(folder)) close();
    watches = next;
  };
  const read = (): void => {
    cancel = undefined;
    arm();
    const next = new Map(paths.map((path) => [path, textOf(path, deps.onTrouble)]));
    const same = paths.every((path) => next.get(path) === texts.get(path));
    texts = next;
    if (!same) deps.onChange(texts);
  };
  const later = (): void => {
    cancel?.();
    cancel = deps.clock.after(deps.debounce, read);
  };

  arm();
  texts = new Map(paths.map((path) => [path, textOf(path, deps.onTrouble)]));
  return {
    get texts() {
      return texts;
    },
    close() {
      cancel?.();
      for (const close of watches.values()) close();
    },
  };
}

function textOf(path: string, onTrouble: (path: string, why: string) => void): string | undefined {
  try {
    return readText(path);
  } catch (error) {
    onTrouble(path, describeError(error));
    return undefined;
  }
}
