import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../eventually.ts";

const SHARED_MEMORY = "/dev/shm";

/** Files below `folder`, also of folders that vanish meanwhile. */
function names(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Where a proxy keeps its own files, below its working directory. */
export const configFolder = (folder: string): string => join(folder, "etc/istio/proxy");

/** Shared memory of every lineage that a proxy has begun so far, by the notes that it leaves itself. */
export function sharedMemoryOf(folder: string): readonly string[] {
  const own = configFolder(folder);
  return names(own)
    .filter((name) => name.startsWith("hot-restart-"))
    .flatMap((name) => names(join(own, name)))
    .flatMap((name) => /^base-id-(\d+)$/.exec(name)?.[1] ?? [])
    .map((baseId) => join(SHARED_MEMORY, `envoy_shared_memory_${Number(baseId) * 10}`));
}

/** What a test that killed its proxy must take away itself. */
export function removeSharedMemory(files: readonly string[]): void {
  for (const file of files) rmSync(file, { force: true });
}

/** Children of a process that nobody reaped. */
export function zombiesBelow(pid: number): readonly number[] {
  return names(`/proc/${pid}/task`)
    .flatMap((task) => childrenOf(`/proc/${pid}/task/${task}/children`))
    .filter((child) => stateOf(child) === "Z");
}

function childrenOf(file: string): readonly number[] {
  try {
    return readFileSync(file, "utf8").split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function stateOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").pop()?.[0];
  } catch {
    return undefined;
  }
}

/** Open descriptors of a process, as what they lead to. */
export function descriptorsOf(pid: number): readonly string[] {
  return names(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return [];
    }
  });
}

/** Inodes of the sockets of 127.0.0.1 that listen on a port: one for each worker. */
export function listenSockets(port: number): readonly string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  return readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .flatMap(([, local, , state, , , , , , inode]) =>
      local?.endsWith(`:${hex}`) === true && state === "0A" && inode !== undefined ? [inode] : [],
    );
}

/** How many listen sockets of a port a process holds. */
export function heldSockets(pid: number, port: number): number {
  const sockets = listenSockets(port).map((inode) => `socket:[${inode}]`);
  const open = descriptorsOf(pid);
  return sockets.filter((one) => open.includes(one)).length;
}

/** Somebody listens on a port, and a process holds the socket of every worker. */
export function holdsAll(pid: number, port: number): boolean {
  const count = listenSockets(port).length;
  return count > 0 && heldSockets(pid, port) === count;
}

/** After the end: neither shared memory nor a folder of sockets nor a bootstrap of a restart is left. */
export function leftovers(folder: string, sharedMemory: readonly string[]): readonly string[] {
  const own = configFolder(folder);
  return [
    ...sharedMemory.filter((file) => existsSync(file)),
    ...names(own).filter((name) => name.startsWith("hot-restart-")),
  ];
}

/**
 * Descriptors without connections that others keep open to us: the pool of an Envoy to the status port has one or two,
 * as its workers like.
 */
export function lastingDescriptors(pid: number): readonly string[] {
  const accepted = new Set(["tcp", "tcp6"].flatMap((table) => acceptedIn(readFileSync(`/proc/net/${table}`, "utf8"))));
  return descriptorsOf(pid).filter((one) => !accepted.has(one));
}

/** Established connections whose local port somebody listens on. */
function acceptedIn(table: string): readonly string[] {
  const rows = table.split("\n").map((line) => line.trim().split(/\s+/));
  const portOf = (address = ""): string => address.split(":").at(-1) ?? "";
  const listening = new Set(rows.flatMap(([, local, , state]) => (state === "0A" ? [portOf(local)] : [])));
  return rows.flatMap(([, local, , state, , , , , , inode]) =>
    state === "01" && listening.has(portOf(local)) ? [`socket:[${inode}]`] : [],
  );
}

/** No zombie below it, and no descriptor more than `before` and `more`, as soon as nothing is under way. */
export async function holdsNoMore(pid: number, before: readonly string[], more = 0): Promise<void> {
  await eventually("no zombie", () => zombiesBelow(pid).length === 0);
  let now: readonly string[] = [];
  await eventually("no descriptor more than before", () => {
    now = lastingDescriptors(pid);
    return now.length <= before.length + more;
  }).catch((error: unknown) => {
    const fresh = now.filter((one) => !before.includes(one));
    const gone = before.filter((one) => !now.includes(one));
    const told = [`new: ${fresh.map(toldOf).join("; ")}`, `gone: ${gone.join(" ")}`].join("\n");
    throw new Error(`${before.length} descriptors before, ${now.length} now\n${told}`, { cause: error });
  });
}

/** A descriptor with the line that the kernel's tables have about its socket: addresses and state. */
function toldOf(descriptor: string): string {
  const inode = /^socket:\[(\d+)\]$/.exec(descriptor)?.[1];
  if (inode === undefined) return descriptor;
  const rows = ["tcp", "tcp6", "udp", "udp6", "unix"].flatMap((table) =>
    readFileSync(`/proc/net/${table}`, "utf8")
      .split("\n")
      .filter((row) => row.trim().split(/\s+/).includes(inode))
      .map((row) => `${table} ${row.trim()}`),
  );
  return `${descriptor} (${rows.join(", ") || "in no table: an unconnected TCP socket"})`;
}
