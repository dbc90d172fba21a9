import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { envoy, root } from "../paths.ts";

/** What an image brings: files over the machine's own, files of the machine under other names, and what is started. */
export interface Image {
  /** A folder that is laid over the root. */
  readonly content?: string;
  /** Files of the machine by their path in the container. */
  readonly binds?: Readonly<Record<string, string>>;
  readonly entrypoint: readonly string[];
  readonly user: number;
}

const node = process.execPath;

/** Our image as the Dockerfile makes it, with this checkout's bundle, its Node and its Envoy. `folder`: of the test. */
export function pilotfishImage(folder: string): Image {
  const content = join(folder, "image");
  layOut(content);
  return {
    content,
    binds: { "/usr/local/bin/node": node, "/usr/local/bin/envoy": envoy },
    entrypoint: ["/usr/local/bin/pilotfish"],
    user: 1337,
  };
}

/** Another run may be building beside us, and replaces files while they are copied: then once more. */
function layOut(content: string, tries = 5): void {
  mkdirSync(content, { recursive: true });
  const { status, stderr } = spawnSync(node, [join(root, "scripts/image-content.mjs"), content], { encoding: "utf8" });
  if (status === 0) return;
  if (tries === 1) throw new Error(`cannot lay out the image: ${stderr}`);
  rmSync(content, { recursive: true, force: true });
  layOut(content, tries - 1);
}

/** An application: a program of test/programs, run by Node. */
export function programImage(name: string): Image {
  return {
    binds: { "/usr/local/bin/node": node, "/app.mjs": join(root, "test/programs", name) },
    entrypoint: ["/usr/local/bin/node", "/app.mjs"],
    user: 1000,
  };
}

/** The machine's own programs, for init containers and jobs that are a line of shell. */
export const shellImage: Image = { entrypoint: ["/bin/sh"], user: 1000 };
