import { parseAllDocuments } from "yaml";
import type { Log } from "../foundation/log.ts";
import type { Clock } from "../foundation/time.ts";
import { listFolder, readText } from "../system/files.ts";
import { watchFolder } from "../system/folder-watch.ts";
import type { EncodedAny, MessageTypes } from "./json-to-proto.ts";
import { type ResourceSet, resourceSet } from "./resource-set.ts";

/** Resources of a file: documents that are a resource, a list of them, or `resources: [...]`. Throws "cannot …". */
export function parseResources(text: string, types: MessageTypes): readonly EncodedAny[] {
  return parseAllDocuments(text).flatMap((document) => {
    if (document.errors[0] !== undefined) throw new Error(`cannot read YAML: ${document.errors[0].message}`);
    const json: unknown = document.toJS();
    if (json === null || json === undefined) return [];
    const inner = typeof json === "object" && "resources" in json ? json.resources : json;
    return (Array.isArray(inner) ? inner : [inner]).map((one) => types.encodeAny(one));
  });
}

export interface WatchedResources {
  current(): ResourceSet;
  /** `file: why` of each file that can't be used. */
  problems(): readonly string[];
  close(): void;
}

/**
 * Resources from a folder of YAML and JSON files, read again when it changes. A file that can't be used is reported,
 * and what it said last counts on.
 */
export function watchResources(deps: {
  readonly folder: string;
  readonly types: MessageTypes;
  readonly clock: Clock;
  readonly log: Log;
  readonly onChange: (set: ResourceSet) => void;
}): WatchedResources {
  const good = new Map<string, { readonly text: string; readonly resources: readonly EncodedAny[] }>();
  const bad = new Map<string, { readonly text: string; readonly problem: string }>();
  let set: ResourceSet = new Map();
  let print = "";
  const read = (): void => {
    readFolder(deps.folder, deps.types, good, bad, deps.log);
    try {
      const next = resourceSet([...good.values()].flatMap(({ resources }) => resources));
      const nextPrint = [...next].map(([type, { version }]) => `${type}=${version}`).join();
      if (nextPrint === print) return;
      set = next;
      print = nextPrint;
    } catch (error) {
      deps.log.warn("resources are not used, the last good ones stay", { error });
      return;
    }
    deps.onChange(set);
  };
  let cancel: (() => void) | undefined;
  const close = watchFolder(deps.folder, deps.clock, 5_000, () => {
    cancel?.();
    cancel = deps.clock.after(50, read);
  });
  read();
  return {
    current: () => set,
    problems: () => [...bad].map(([name, { problem }]) => `${name}: ${problem}`),
    close: () => {
      cancel?.();
      close();
    },
  };
}

function readFolder(
  folder: string,
  types: MessageTypes,
  good: Map<string, { readonly text: string; readonly resources: readonly EncodedAny[] }>,
  bad: Map<string, { readonly text: string; readonly problem: string }>,
  log: Log,
): void {
  const names = listFolder(folder).filter((name) => /^[^.].*\.(ya?ml|json)$/.test(name));
  for (const gone of [...good.keys(), ...bad.keys()].filter((name) => !names.includes(name))) {
    good.delete(gone);
    bad.delete(gone);
  }
  for (const name of names) {
    const text = readText(`${folder}/${name}`);
    if (text === undefined || good.get(name)?.text === text || bad.get(name)?.text === text) continue;
    try {
      good.set(name, { text, resources: parseResources(text, types) });
      bad.delete(name);
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      bad.set(name, { text, problem });
      log.warn("a resource file can't be used, its last good content stays", { file: name, problem });
    }
  }
}
