import { describeError } from "../../foundation/errors.ts";
import { removeFile } from "../../system/files.ts";
import { readSharedFile, trySharedFile, writeIntoSharedFile } from "../../system/shared-memory-file.ts";

/*
 * Envoy's shared memory: <folder>/envoy_shared_memory_<base-id * 10>, 104 bytes, little-endian: size at 0, version at
 * 8, two 40-byte mutexes, flags at 96 with INITIALIZING as bit 0 (hot-restart version 11.104). A child that dies while
 * it initializes leaves the flag set, and every later child of that base-id refuses to start until it is cleared.
 */

export const SHARED_MEMORY_FOLDER = "/dev/shm";
/** What `envoy --hot-restart-version` says for the layout and the messages that we know (Envoy 1.39, 1.40). */
export const KNOWN_HOT_RESTART_VERSION = "11.104";
const SIZE = 104;
const VERSION = 11;
const FLAGS_AT = 96;
const INITIALIZING = 1n;

export interface SharedMemoryPlace {
  readonly baseId: number;
  /** For tests; normally SHARED_MEMORY_FOLDER. */
  readonly folder?: string;
}

export const sharedMemoryPath = ({ baseId, folder = SHARED_MEMORY_FOLDER }: SharedMemoryPlace): string =>
  `${folder}/envoy_shared_memory_${baseId * 10}`;

export type SharedMemoryState =
  | { readonly is: "absent" }
  /** Of the layout that we know. `initializing`: a child has attached it and is not LIVE yet, or died before. */
  | { readonly is: "known"; readonly initializing: boolean; readonly flags: bigint; readonly uid: number }
  /** Another size or version: another Envoy's, a stranger's; hands off. */
  | { readonly is: "foreign"; readonly why: string; readonly uid: number }
  /** Not ours to read: another user's, a link, an error of the file system. */
  | { readonly is: "unreadable"; readonly why: string };

/** What the file's bytes mean. Pure. */
export function judgeSharedMemory(file: {
  readonly bytes: Buffer;
  readonly size: number;
  readonly uid: number;
}): SharedMemoryState {
  const { bytes, size, uid } = file;
  if (size !== SIZE || bytes.length < SIZE)
    return { is: "foreign", why: `the file has ${size} bytes, not ${SIZE}`, uid };
  const [saysSize, saysVersion] = [bytes.readBigUInt64LE(0), bytes.readBigUInt64LE(8)];
  if (saysSize !== BigInt(SIZE) || saysVersion !== BigInt(VERSION))
    return { is: "foreign", why: `it says version ${saysVersion}.${saysSize}, not ${VERSION}.${SIZE}`, uid };
  const flags = bytes.readBigUInt64LE(FLAGS_AT);
  return { is: "known", initializing: (flags & INITIALIZING) !== 0n, flags, uid };
}

/**
 * One look: cheap enough for every few milliseconds. Flag 0 -> 1: the child has attached; 1 -> 0: it is LIVE and the
 * parent has been told to drain (the point of no return).
 */
export function readSharedMemory(place: SharedMemoryPlace): SharedMemoryState {
  try {
    const file = readSharedFile(sharedMemoryPath(place), SIZE + 1);
    return file === undefined ? { is: "absent" } : judgeSharedMemory(file);
  } catch (error) {
    return { is: "unreadable", why: describeError(error) };
  }
}

export type Repair =
  /** The flag was set and is cleared: the same epoch can start. */
  | { readonly is: "repaired" }
  /** Nothing to do: no flag is set, or there is no shared memory at all (then only epoch 0 can start). */
  | { readonly is: "not-needed"; readonly state: "clear" | "absent" }
  | { readonly is: "refused"; readonly why: string };

/** Whether the flag may be cleared, and to what. Pure; only for the exact size and version. */
export function repairOf(
  state: SharedMemoryState,
  hotRestartVersion: string | undefined,
): Repair | { readonly is: "clear"; readonly flags: bigint } {
  if (state.is === "absent") return { is: "not-needed", state: "absent" };
  if (state.is !== "known") return { is: "refused", why: state.why };
  if (!state.initializing) return { is: "not-needed", state: "clear" };
  if (hotRestartVersion !== KNOWN_HOT_RESTART_VERSION) {
    const said = hotRestartVersion === undefined ? "unknown" : `"${hotRestartVersion}"`;
    return { is: "refused", why: `Envoy's hot-restart version is ${said}, not ${KNOWN_HOT_RESTART_VERSION}` };
  }
  return { is: "clear", flags: state.flags & ~INITIALIZING };
}

/**
 * Clears the INITIALIZING flag. Call it only when no child is alive: a living one owns the flag.
 * `hotRestartVersion`: what `envoy --hot-restart-version` printed.
 */
export function repairFlag(place: SharedMemoryPlace, hotRestartVersion: string | undefined): Repair {
  const decision = repairOf(readSharedMemory(place), hotRestartVersion);
  if (decision.is !== "clear") return decision;
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(decision.flags);
  try {
    const done = writeIntoSharedFile(sharedMemoryPath(place), FLAGS_AT, bytes);
    return done ? { is: "repaired" } : { is: "not-needed", state: "absent" };
  } catch (error) {
    return { is: "refused", why: describeError(error) };
  }
}

/** Removes the file; only when no Envoy of this base-id is alive, in any container that shares the folder. */
export function removeSharedMemory(place: SharedMemoryPlace): void {
  removeFile(sharedMemoryPath(place));
}

/**
 * Whether an Envoy of ours can have shared memory here: "usable", or why not (full, read-only, missing, not allowed).
 * Writes a file of Envoy's size beside Envoy's name and removes it.
 */
export function checkSharedMemory(folder: string = SHARED_MEMORY_FOLDER): "usable" | { readonly why: string } {
  try {
    trySharedFile(folder, SIZE);
    return "usable";
  } catch (error) {
    return { why: `"${folder}": ${describeError(error)}` };
  }
}
