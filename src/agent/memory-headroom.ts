/**
 * Whether the container has room for a second Envoy. Pure: files come in through `read` (text, or undefined when there
 * is none). All sizes in bytes.
 */

type Read = (path: string) => string | undefined;

/** The tightest limit above us and what is left below it. */
export interface MemoryRoom {
  readonly limit: number;
  /** What cannot be taken back at once: pages of files that nobody used lately are left out (the working set). */
  readonly used: number;
}

interface Version {
  /** Where the hierarchy is mounted, as seen from inside a container too. */
  readonly root: string;
  /** Our line in /proc/self/cgroup. */
  readonly line: RegExp;
  readonly limit: string;
  readonly usage: string;
  readonly inactive: RegExp;
}

const versions: readonly Version[] = [
  {
    root: "/sys/fs/cgroup",
    line: /^0::(\/.*)$/m,
    limit: "memory.max",
    usage: "memory.current",
    inactive: /^inactive_file (\d+)$/m,
  },
  {
    root: "/sys/fs/cgroup/memory",
    line: /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(\/.*)$/m,
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    inactive: /^total_inactive_file (\d+)$/m,
  },
];

/** v1 says "no limit" with a number that no machine has; v2 says "max". */
const NO_LIMIT = 2 ** 60;

/**
 * The level with the least room: a limit of the pod or of a systemd slice counts as much as the container's own.
 * Undefined without any limit.
 */
export function memoryRoom(read: Read): MemoryRoom | undefined {
  const ours = read("/proc/self/cgroup") ?? "";
  const levels = versions.flatMap((version) =>
    foldersOf(version, ours).flatMap((folder) => levelAt(folder, version, read)),
  );
  return levels.reduce<MemoryRoom | undefined>(
    (least, one) => (least === undefined || left(one) < left(least) ? one : least),
    undefined,
  );
}

const left = ({ limit, used }: MemoryRoom): number => limit - used;

/** From our own group up to the mount. A path of the host that is not mounted here simply has no files. */
function foldersOf({ root, line }: Version, ours: string): readonly string[] {
  const parts = (line.exec(ours)?.[1] ?? "/").split("/").filter((part) => part !== "" && part !== "..");
  return Array.from({ length: parts.length + 1 }, (_, above) =>
    [root, ...parts.slice(0, parts.length - above)].join("/"),
  );
}

function levelAt(folder: string, { limit, usage, inactive }: Version, read: Read): readonly MemoryRoom[] {
  const most = wholeNumber(read(`${folder}/${limit}`));
  const now = wholeNumber(read(`${folder}/${usage}`));
  if (most === undefined || now === undefined || most >= NO_LIMIT) return [];
  const idle = wholeNumber(inactive.exec(read(`${folder}/memory.stat`) ?? "")?.[1]) ?? 0;
  return [{ limit: most, used: Math.max(0, now - idle) }];
}

function wholeNumber(text: string | undefined): number | undefined {
  const trimmed = text?.trim() ?? "";
  return /^\d+$/.test(trimmed) ? Number(trimmed) : undefined;
}

/**
 * What a second Envoy like the one of `pid` needs for itself. The pages of the same binary are shared; those of another
 * binary come on top. Undefined when the process cannot be looked at.
 */
export function measuredNeed(read: Read, pid: number, sameBinary: boolean): number | undefined {
  const status = read(`/proc/${pid}/status`);
  if (status === undefined) return undefined;
  const kilobytes = (name: string): number | undefined =>
    wholeNumber(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]);
  const whole = kilobytes("VmRSS");
  const own = kilobytes("RssAnon");
  const resident = sameBinary && own !== undefined ? own + (kilobytes("RssShmem") ?? 0) : whole;
  return resident === undefined ? undefined : (resident + (kilobytes("VmSwap") ?? 0)) * 1024;
}

const MEBIBYTE = 1024 * 1024;
/** A young Envoy needs a little more than one at rest, and so do we while both live. */
const LEAST_MARGIN = 8 * MEBIBYTE;

/** Why a second Envoy does not fit, with the numbers; undefined when it does or when nobody can know. */
export function memoryObjection(room: MemoryRoom | undefined, need: number | undefined): string | undefined {
  if (room === undefined || need === undefined) return undefined;
  const wanted = need + Math.max(LEAST_MARGIN, need / 4);
  if (left(room) >= wanted) return undefined;
  return (
    `a second Envoy needs about ${megabytes(wanted)} (the serving one has ${megabytes(need)} of its own), ` +
    `but ${megabytes(Math.max(0, left(room)))} are left of ${megabytes(room.limit)} (${megabytes(room.used)} in use); ` +
    "raise the memory limit, or ask with --ignore-memory (PILOTFISH_IGNORE_MEMORY for all)"
  );
}

const megabytes = (bytes: number): string => `${(bytes / MEBIBYTE).toFixed(bytes < 10 * MEBIBYTE ? 1 : 0)} MiB`;
