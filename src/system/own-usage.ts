import { getHeapStatistics } from "node:v8";
import { listFolder, readText } from "./files.ts";

/** What this process uses, as the kernel and the runtime tell it. A field that can't be read is undefined. */
export interface OwnUsage {
  readonly cpuSeconds: number;
  readonly openFiles: number | undefined;
  readonly maxFiles: number | undefined;
  readonly residentBytes: number | undefined;
  readonly virtualBytes: number | undefined;
  /** Limit of the address space; -1 is none. */
  readonly virtualLimitBytes: number | undefined;
  /** Unix time. */
  readonly startTimeSeconds: number | undefined;
  /** Of the whole network namespace. */
  readonly receivedBytes: number | undefined;
  readonly sentBytes: number | undefined;
  readonly heapUsedBytes: number;
  readonly heapTotalBytes: number;
  readonly externalBytes: number;
}

/** USER_HZ: 100 on every Linux that Node runs on; page size of x86-64 and of the arm64 kernels in use. */
const CLOCK_TICKS = 100;
const PAGE = 4096;

/** What does not change while we run. */
let fixed: Pick<OwnUsage, "maxFiles" | "virtualLimitBytes" | "startTimeSeconds"> | undefined;

/** Reads /proc; about 0.1 ms. */
export function ownUsage(): OwnUsage {
  const { user, system } = process.cpuUsage();
  // Not process.memoryUsage(), which reads /proc once more.
  const heap = getHeapStatistics();
  // Behind the last ")": the program's name may hold spaces. Field 3 of proc(5) is word 0 here.
  const stat = text("/proc/self/stat")
    ?.replace(/^.*\) /s, "")
    .split(" ");
  const network = internetOctets();
  fixed ??= {
    maxFiles: limit("Max open files"),
    virtualLimitBytes: limit("Max address space"),
    startTimeSeconds: startTime(stat?.[19]),
  };
  return {
    ...fixed,
    cpuSeconds: (user + system) / 1e6,
    openFiles: openFiles(),
    residentBytes: scaled(stat?.[21], PAGE),
    virtualBytes: scaled(stat?.[20], 1),
    receivedBytes: network.in,
    sentBytes: network.out,
    heapUsedBytes: heap.used_heap_size,
    heapTotalBytes: heap.total_heap_size,
    externalBytes: heap.external_memory,
  };
}

function text(path: string): string | undefined {
  try {
    return readText(path);
  } catch {
    return undefined;
  }
}

function scaled(word: string | undefined, by: number): number | undefined {
  const value = Number(word);
  return word !== undefined && Number.isFinite(value) ? value * by : undefined;
}

/** One of them is the descriptor that lists the folder. */
function openFiles(): number | undefined {
  const count = listFolder("/proc/self/fd").length;
  return count === 0 ? undefined : count - 1;
}

function limit(name: string): number | undefined {
  const line = text("/proc/self/limits")
    ?.split("\n")
    .find((one) => one.startsWith(name));
  const soft = line?.slice(name.length).trim().split(/\s+/)[0];
  return soft === "unlimited" ? -1 : scaled(soft, 1);
}

function startTime(ticks: string | undefined): number | undefined {
  const boot = /^btime (\d+)$/m.exec(text("/proc/stat") ?? "")?.[1];
  const since = scaled(ticks, 1 / CLOCK_TICKS);
  return boot === undefined || since === undefined ? undefined : Number(boot) + since;
}

/** InOctets and OutOctets of the IpExt rows: the first row names the columns, the second holds the values. */
function internetOctets(): { readonly in?: number; readonly out?: number } {
  const [names, values] = (text("/proc/self/net/netstat") ?? "")
    .split("\n")
    .filter((line) => line.startsWith("IpExt:"))
    .map((line) => line.split(" "));
  const of = (name: string): number | undefined => scaled(values?.[names?.indexOf(name) ?? -1], 1);
  const [received, sent] = [of("InOctets"), of("OutOctets")];
  return { ...(received === undefined ? {} : { in: received }), ...(sent === undefined ? {} : { out: sent }) };
}
