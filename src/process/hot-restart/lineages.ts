import { describeError } from "../../foundation/errors.ts";
import type { Log } from "../../foundation/log.ts";
import { ensureDirectory, listFolder, removeFile, writeWhole } from "../../system/files.ts";
import { abandonedFolders, type PrivateFolder, privateFolder } from "../../system/private-folder.ts";
import { allSocketNames, type Lineage, LONGEST_PREFIX } from "./names.ts";
import { checkSharedMemory, readSharedMemory, removeSharedMemory } from "./shared-memory.ts";

export interface LineagesDeps {
  readonly log: Log;
  /** Where our own files stand (configPath); ours is made below it, with mode 0700. */
  readonly directory: string;
  /** --base-id, for the first lineage. */
  readonly baseId: number | undefined;
  /** 0 ... 1. */
  readonly chance: () => number;
  /** For tests; normally /dev/shm. */
  readonly sharedMemoryFolder?: string;
}

const FOLDER = "hot-restart";
const SMALLEST = 1_000_000;
/** Ten times as much still is a number of 31 bits: names of sockets stay short. */
const LARGEST = 214_000_000;

/**
 * The names under which our Envoys meet: a socket prefix in a folder that nobody else may enter (hot-restart.md 12) and
 * a base-id whose shared memory is nobody's. Every swap begins another lineage. What a life before this one left
 * behind is removed.
 */
export class Lineages {
  /** Why hot restart is off; undefined when it can be had. */
  get off(): string | undefined {
    return this.#off;
  }

  /** Why the newest Envoy that began a lineage runs without hot restart; undefined when it has it. */
  get denied(): string | undefined {
    return this.#off ?? this.#denied;
  }

  readonly #deps: LineagesDeps;
  readonly #known = new Map<number, Lineage>();
  #folder: PrivateFolder | undefined;
  #off: string | undefined = "not looked at yet";
  #denied: string | undefined;

  constructor(deps: LineagesDeps) {
    this.#deps = deps;
  }

  /** Once, before the first Envoy is started: makes the folder, tries the shared memory. */
  open(): void {
    this.#removeAbandoned();
    try {
      ensureDirectory(this.#deps.directory, 0o700);
      this.#folder = privateFolder(this.#deps.directory, FOLDER, LONGEST_PREFIX - "/e99".length);
    } catch (error) {
      this.#off = `no folder for its sockets: ${describeError(error)}`;
      return;
    }
    const memory = checkSharedMemory(this.#deps.sharedMemoryFolder);
    this.#off = memory === "usable" ? undefined : `shared memory cannot be used: ${memory.why}`;
  }

  /** Undefined when hot restart is off. */
  of(lineage: number): Lineage | undefined {
    if (this.#off !== undefined || this.#folder === undefined) return undefined;
    const known = this.#known.get(lineage);
    if (known !== undefined) return known;
    const made = { prefix: `${this.#folder.path}/e${lineage % 100}`, baseId: this.#baseIdFor(lineage) };
    // For the life after this one, should this one not come to its end.
    this.#quietly(() => writeWhole(noteOf(made), "", 0o600));
    this.#known.set(lineage, made);
    return made;
  }

  /**
   * For an Envoy that starts over nobody: its lineage, or undefined when shared memory cannot be had now. Envoy dies of
   * a folder that is full or read-only.
   */
  begin(lineage: number): Lineage | undefined {
    const found = this.of(lineage);
    if (found === undefined) return undefined;
    // What a dead one of ours left there; Envoy would remove it itself.
    this.#quietly(() => removeSharedMemory(this.#place(found.baseId)));
    const memory = checkSharedMemory(this.#deps.sharedMemoryFolder);
    const denied = memory === "usable" ? undefined : `shared memory cannot be used: ${memory.why}`;
    if (denied !== undefined && this.#denied === undefined)
      this.#deps.log.warn("Envoy is started without hot restart; the next restart will be a swap", { why: denied });
    this.#denied = denied;
    return denied === undefined ? found : undefined;
  }

  /** The admin socket of every Envoy of a lineage; the first one has the address of its bootstrap. */
  adminPath(lineage: number): string | undefined {
    return lineage === 0 || this.#folder === undefined ? undefined : `${this.#folder.path}/admin-${lineage % 100}`;
  }

  /** Its last Envoy is dead and no other will have it: nothing of it stays. A base-id is a file in memory each. */
  retire(lineage: number): void {
    const known = this.#known.get(lineage);
    if (known === undefined) return;
    this.#known.delete(lineage);
    const admin = this.adminPath(lineage);
    const files = [noteOf(known), ...allSocketNames(known), ...(admin === undefined ? [] : [admin])];
    this.#quietly(() => removeSharedMemory(this.#place(known.baseId)));
    for (const file of files) this.#quietly(() => removeFile(file));
  }

  /** The end: no Envoy of ours is alive. */
  remove(): void {
    for (const { baseId } of this.#known.values()) removeSharedMemory(this.#place(baseId));
    this.#folder?.remove();
  }

  #place(baseId: number): { readonly baseId: number; readonly folder?: string } {
    const { sharedMemoryFolder: folder } = this.#deps;
    return folder === undefined ? { baseId } : { baseId, folder };
  }

  /** Envoy removes whatever shared memory it finds under its base-id: so never one that is there. */
  #baseIdFor(lineage: number): number {
    const { baseId: wanted, chance, log } = this.#deps;
    const free = (baseId: number): boolean => readSharedMemory(this.#place(baseId)).is === "absent";
    if (wanted !== undefined && lineage === 0) {
      if (free(wanted)) return wanted;
      log.warn("The base-id is somebody else's: another one is taken", { baseId: wanted });
    }
    for (;;) {
      const drawn = SMALLEST + Math.floor(chance() * (LARGEST - SMALLEST));
      if (free(drawn)) return drawn;
    }
  }

  #removeAbandoned(): void {
    for (const folder of abandonedFolders(this.#deps.directory, FOLDER)) {
      for (const name of namesIn(folder)) {
        const baseId = /^base-id-(\d+)$/.exec(name)?.[1];
        if (baseId !== undefined) this.#quietly(() => removeSharedMemory(this.#place(Number(baseId))));
      }
      this.#quietly(() => removeFile(folder));
    }
  }

  #quietly(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#deps.log.debug("cannot tidy up the folder of hot restarts", { error: describeError(error) });
    }
  }
}

/** Beside the sockets. */
const noteOf = ({ prefix, baseId }: Lineage): string => prefix.replace(/[^/]*$/, `base-id-${baseId}`);

function namesIn(folder: string): readonly string[] {
  try {
    return listFolder(folder);
  } catch {
    return [];
  }
}
