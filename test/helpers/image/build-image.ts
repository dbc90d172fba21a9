import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { envoy, root } from "../paths.ts";
import { debianTar, nodeFiles, npmCache, trustFiles } from "./base-images.ts";

/** The image as a runtime gets it: a root file system, and what the Dockerfile says about how to start it. */
export interface BuiltImage {
  /** Folder of the root file system. */
  readonly root: string;
  readonly config: {
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[];
    readonly Env: readonly string[];
    readonly User: string;
    readonly WorkingDir: string;
  };
  done(): void;
}

const cache = join(root, ".cache/image");

/**
 * Runs the real Dockerfile with images made here in the place of those from a registry. Needs root, buildah,
 * mmdebstrap and this machine's package sources; 1 to 2 minutes.
 */
export function buildImage(): BuiltImage {
  const tar = debianTar();
  removeLeftOver();
  const work = mkdtempSync(join(cache, `work-${process.pid}-`));
  const done = (): void => removeWork(work);
  process.once("exit", done);
  const storage = ["--root", join(work, "storage"), "--runroot", join(work, "run"), "--storage-driver", driver()];
  const buildah = (...args: readonly string[]): string =>
    execFileSync("buildah", [...storage, ...args], {
      encoding: "utf8",
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      maxBuffer: 64 * 1024 * 1024,
      env: { ...process.env, BUILDAH_ISOLATION: "chroot" },
    });
  try {
    makeBases(work, buildah, tar);
    const base = (name: string): readonly string[] => ["--build-arg", `${name}_IMAGE=localhost/${name.toLowerCase()}`];
    const volume = ["--volume", `${npmCache()}:/root/.npm`];
    const context = [
      "--pull=never",
      "--network=host",
      "--build-arg",
      "COMMIT=0123456789ab",
      "--tag",
      "localhost/pilotfish",
    ];
    buildah("bud", ...context, ...volume, ...base("NODE"), ...base("ENVOY"), ...base("BASE"), ".");
    const container = buildah("from", "--pull=never", "localhost/pilotfish").trim();
    const { OCIv1 } = JSON.parse(buildah("inspect", "--type", "image", "localhost/pilotfish")) as Inspected;
    return { root: buildah("mount", container).trim(), config: OCIv1.config, done };
  } catch (error) {
    done();
    throw error;
  }
}

/** An overlay cannot lie on an overlay, which is what this machine's root is when it is a container itself. */
function driver(): "overlay" | "vfs" {
  const kind = execFileSync("stat", ["-f", "-c", "%T", cache], { encoding: "utf8" }).trim();
  return ["ext2/ext3", "xfs", "btrfs"].includes(kind) ? "overlay" : "vfs";
}

interface Inspected {
  readonly OCIv1: { readonly config: BuiltImage["config"] };
}

/** localhost/base, localhost/node and localhost/envoy. */
function makeBases(work: string, buildah: (...args: readonly string[]) => string, tar: string): void {
  const layer = (name: string, fill: (folder: string) => void): string => {
    const folder = join(work, name);
    mkdirSync(folder);
    fill(folder);
    return folder;
  };
  const image = (name: string, ...layers: readonly string[]): void => {
    const container = buildah("from", "scratch").trim();
    for (const one of layers) buildah("add", "--quiet", container, one, "/");
    buildah("config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container);
    buildah("commit", "--quiet", "--rm", container, `localhost/${name}`);
  };
  const trust = layer("trust", trustFiles);
  image("base", tar, trust);
  image("node", tar, trust, layer("node", nodeFiles));
  image(
    "envoy",
    layer("envoy", (folder) => {
      mkdirSync(join(folder, "usr/local/bin"), { recursive: true });
      copyFileSync(envoy, join(folder, "usr/local/bin/envoy"));
    }),
  );
}

/** What a run that was killed left behind. */
function removeLeftOver(): void {
  for (const name of readdirSync(cache)) {
    const pid = /^work-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeWork(join(cache, name));
  }
}

/** Unmounts first: below a mount there may lie a folder of this machine, npm's for one. */
function removeWork(work: string): void {
  if (!existsSync(work)) return;
  for (const path of mountsBelow(work).toReversed()) execFileSync("umount", ["--lazy", path], { stdio: "ignore" });
  if (mountsBelow(work).length > 0) throw new Error(`cannot remove "${work}": something is still mounted there`);
  rmSync(work, { recursive: true, force: true });
}

const mountsBelow = (folder: string): readonly string[] =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${folder}/`));
