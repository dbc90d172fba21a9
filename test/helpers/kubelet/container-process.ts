import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../eventually.ts";
import type { Image } from "./image.ts";
import type { Container, SecurityContext } from "./pod.ts";

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Where and as whom a container's processes run. */
export interface Place {
  /** Path of the pod's network namespace. */
  readonly network: string;
  /** A folder for this container's mounts. */
  readonly folder: string;
  readonly image: Image;
  /** Folders of the machine by their path in the container. */
  readonly mounts: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string>>;
  readonly security: SecurityContext;
}

/**
 * A root file system of its own (the machine's, with the image's files over it; read-only where the pod says so), its
 * own processes (what is started is PID 1), the pod's network. Words: folder, image, read-only, binds, then the program.
 */
const script = `
set -e
folder=$1; image=$2; readonly=$3; shift 3
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$folder"
mkdir -p "$folder/image" "$folder/root" "$folder/upper" "$folder/work"
[ -z "$image" ] || cp -a "$image/." "$folder/image"
n=0
for word in "$@"; do
  [ "$word" != -- ] || break
  n=$((n + 1)); from=\${word#*=}; to=\${word%%=*}
  if [ -d "$from" ]; then mkdir -p "$folder/image$to"
  else mkdir -p "$(dirname "$folder/image$to")"; touch "$folder/image$to"; fi
done
upper=",upperdir=$folder/upper,workdir=$folder/work"
[ "$readonly" = no ] || upper=
mount -t overlay overlay -o "lowerdir=$folder/image:/$upper" "$folder/root"
while [ "$n" -gt 0 ]; do mount --bind "\${1#*=}" "$folder/root\${1%%=*}"; shift; n=$((n - 1)); done
shift
mount -t proc proc "$folder/root/proc"
mount --rbind /dev "$folder/root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$folder/root/dev/shm"
mount --rbind /sys "$folder/root/sys"
exec chroot "$folder/root" "$@"`;

/** A started container. */
export class ContainerProcess {
  readonly name: string;
  output = "";
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #place: Place;
  #end: Ended | undefined;

  constructor(container: Container, words: readonly string[], place: Place) {
    this.name = container.name;
    this.#place = place;
    mkdirSync(place.folder, { recursive: true });
    // A folder inside of another one is mounted after it.
    const binds = Object.entries({ ...place.image.binds, ...place.mounts })
      .sort(([left], [right]) => left.length - right.length)
      .map(([to, from]) => `${to}=${from}`);
    const readonly = place.security.readOnlyRootFilesystem === true ? "yes" : "no";
    const own = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script, "sh"];
    this.#child = spawn(
      "nsenter",
      [
        `--net=${place.network}`,
        "--",
        ...own,
        place.folder,
        place.image.content ?? "",
        readonly,
        ...binds,
        "--",
        ...asUser(place),
        ...words,
      ],
      { env: { ...place.environment }, stdio: ["ignore", "pipe", "pipe"] },
    );
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output += text;
      });
    }
    this.ended = new Promise((resolve) => {
      this.#child.once("close", (code, signal) => {
        this.#end = { code, signal };
        resolve(this.#end);
      });
    });
  }

  get end(): Ended | undefined {
    return this.#end;
  }

  /** The container's PID 1 as the machine sees it; undefined before it is there and after it has gone. */
  get pid(): number | undefined {
    const outer = this.#child.pid;
    if (outer === undefined || this.#end !== undefined) return undefined;
    try {
      const inner = Number(readFileSync(`/proc/${outer}/task/${outer}/children`, "utf8").trim().split(" ")[0]);
      return inner > 0 ? inner : undefined;
    } catch {
      return undefined;
    }
  }

  signal(name: NodeJS.Signals): void {
    const { pid } = this;
    try {
      if (pid !== undefined) process.kill(pid, name);
    } catch {
      // It ended just now.
    }
  }

  /** The end of PID 1 is the end of all processes there; the one above it goes by itself, or has no other yet. */
  kill(): void {
    this.signal("SIGKILL");
    this.#child.kill("SIGKILL");
  }

  /** Runs a command in the container, as kubectl exec and hooks do. */
  async exec(command: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }> {
    const pid = await eventually(`${this.name} runs`, () => this.pid);
    await eventually(`${this.name} has its own root`, () => this.#end !== undefined || rooted(pid));
    const child = spawn(
      "nsenter",
      [`--target=${pid}`, "--mount", "--pid", "--net", "--root", "--wd=/", "--", ...asUser(this.#place), ...command],
      { env: { ...this.#place.environment }, stdio: ["ignore", "pipe", "pipe"] },
    );
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    }
    return { code: await new Promise((resolve) => child.once("close", resolve)), output };
  }
}

/** The script has done its mounts once the process is no shell of ours any more. */
function rooted(pid: number): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    // Empty is the moment of an exec.
    return !words.includes(script) && !["", "chroot", "setpriv"].includes(words[0] ?? "");
  } catch {
    return true;
  }
}

/** User, group, capabilities and the ban on more, as the security context says. */
function asUser({ security, image }: Place): readonly string[] {
  const user = security.runAsUser ?? image.user;
  const group = security.runAsGroup ?? user;
  const added = (security.capabilities?.add ?? []).map((one) => `+${one.toLowerCase()}`);
  const dropped = security.capabilities?.drop?.includes("ALL") === true;
  return [
    "setpriv",
    `--reuid=${user}`,
    `--regid=${group}`,
    "--clear-groups",
    ...(dropped ? [`--bounding-set=-all${added.map((one) => `,${one}`).join("")}`, "--inh-caps=-all"] : []),
    ...(security.allowPrivilegeEscalation === false ? ["--no-new-privs"] : []),
    "--",
  ];
}

export const folderOf = (pod: string, container: string, attempt: number): string =>
  join(pod, "containers", `${container}-${attempt}`);
