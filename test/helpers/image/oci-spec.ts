import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { BuiltImage } from "./build-image.ts";

/** What a pod says about one container of it. */
export interface ContainerWish {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** "1337:1337" unless the image is started as somebody else. */
  readonly user?: string;
  readonly capabilities?: readonly string[];
  /** emptyDir volumes, by their mount paths. */
  readonly emptyDirs?: readonly string[];
  /** Files of this machine that are seen there, read-only. */
  readonly files?: Readonly<Record<string, string>>;
  /** Path of the pod's network namespace. */
  readonly network: string;
}

/** The mounts that a kubelet gives every container. */
const standardMounts = [
  { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
  {
    destination: "/dev",
    type: "tmpfs",
    source: "tmpfs",
    options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
  },
  {
    destination: "/dev/pts",
    type: "devpts",
    source: "devpts",
    options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666"],
  },
  {
    destination: "/dev/shm",
    type: "tmpfs",
    source: "shm",
    options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
  },
  { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
];

/**
 * A container as Istio's injection asks for it: root file system read-only, no capability but those named, no new
 * privileges, its own processes, mounts and host name, the pod's network. Volumes are made in `folder`.
 */
export function ociSpec(image: BuiltImage, wish: ContainerWish, cgroup: string, folder: string): object {
  const [uid = 0, gid = 0] = (wish.user ?? image.config.User).split(":").map(Number);
  const kept = (wish.capabilities ?? []).map((name) => `CAP_${name}`);
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: { uid, gid, additionalGids: [gid] },
      args: [...image.config.Entrypoint, ...(wish.args ?? image.config.Cmd)],
      env: [...image.config.Env, ...Object.entries(wish.env ?? {}).map(([name, value]) => `${name}=${value}`)],
      cwd: image.config.WorkingDir,
      capabilities: { bounding: kept, effective: kept, permitted: kept, inheritable: [], ambient: [] },
      noNewPrivileges: true,
    },
    root: { path: image.root, readonly: true },
    hostname: "pod",
    mounts: [...standardMounts, ...volumes(wish, folder)],
    linux: {
      cgroupsPath: cgroup,
      namespaces: [
        ...["pid", "mount", "ipc", "uts"].map((type) => ({ type })),
        { type: "network", path: wish.network },
      ],
      maskedPaths: ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}

/** A kubelet makes a folder of mode 0777 for each emptyDir and mounts it over what is there. */
function volumes(wish: ContainerWish, folder: string): readonly object[] {
  const emptyDirs = (wish.emptyDirs ?? []).map((destination, index): readonly [string, string] => {
    const source = join(folder, String(index));
    mkdirSync(source);
    chmodSync(source, 0o777);
    return [destination, source];
  });
  return [
    ...emptyDirs.map(([destination, source]) => ({ destination, type: "bind", source, options: ["bind", "rw"] })),
    ...Object.entries(wish.files ?? {}).map(([destination, source]) => ({
      destination,
      type: "bind",
      source,
      options: ["bind", "ro"],
    })),
  ];
}
