import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "../paths.ts";

/*
 * What the Dockerfile takes from a registry, made on this machine instead: a Debian, the same Debian with Node and npm,
 * and an image that holds nothing but Envoy. The Debian comes from this machine's own apt sources and is kept.
 */

const cache = join(root, ".cache/image");

/** This machine's root certificates, for package sources behind a certificate of their own. */
const certificates = "/etc/ssl/certs/ca-certificates.crt";

const run = (program: string, ...args: readonly string[]): string =>
  execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], maxBuffer: 16 * 1024 * 1024 });

const setting = (name: string): string => {
  const text = execFileSync("npm", ["config", "get", name], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return text.trim();
};

/** Debian's own files for apt; sources of other makers need keys that the new system lacks. */
function debianSources(): readonly string[] {
  const folder = "/etc/apt/sources.list.d";
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name === "debian.sources") : [];
  return files.length > 0 ? files.map((name) => join(folder, name)) : ["/etc/apt/sources.list"];
}

/** A minimal Debian as a tar file; about half a minute the first time. */
export function debianTar(): string {
  const suite = run("sh", "-c", '. /etc/os-release && echo "$VERSION_CODENAME"').trim();
  const tar = join(cache, `${suite}-${process.arch}.tar`);
  if (existsSync(tar)) return tar;
  mkdirSync(cache, { recursive: true });
  const temporary = `${tar}.${process.pid}.tar`;
  try {
    const without = ["doc", "man", "locale", "info"].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`);
    run("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", ...without, suite, temporary, ...debianSources());
    renameSync(temporary, tar);
  } finally {
    rmSync(temporary, { force: true });
  }
  return tar;
}

/** Files that go on top of the Debian for every image: how to trust the package source. */
export function trustFiles(to: string): void {
  if (!existsSync(certificates)) return;
  mkdirSync(join(to, dirname(certificates)), { recursive: true });
  copyFileSync(certificates, join(to, certificates));
}

/** Node and npm as Node's own image has them, with this machine's package source. */
export function nodeFiles(to: string): void {
  const local = join(to, "usr/local");
  mkdirSync(join(local, "bin"), { recursive: true });
  mkdirSync(join(local, "etc"), { recursive: true });
  copyFileSync(process.execPath, join(local, "bin/node"));
  copyFileSync(join(dirname(process.execPath), "../LICENSE"), join(local, "LICENSE"));
  cpSync(npmFolder(), join(local, "lib/node_modules/npm"), { recursive: true, dereference: true });
  writeFileSync(join(local, "bin/npm"), '#!/bin/sh\nexec node /usr/local/lib/node_modules/npm/bin/npm-cli.js "$@"\n', {
    mode: 0o755,
  });
  const cafile = existsSync(certificates) ? `cafile=${certificates}\n` : "";
  writeFileSync(join(local, "etc/npmrc"), `registry=${setting("registry")}\n${cafile}prefer-offline=true\n`);
}

/** The folder of this machine's npm: the one that started us, or the one on the path. */
function npmFolder(): string {
  const cli = process.env["npm_execpath"] ?? run("sh", "-c", 'readlink -f "$(command -v npm)"').trim();
  return join(dirname(cli), "..");
}

/** npm's own store of packages: with it the build downloads nothing twice. */
export const npmCache = (): string => setting("cache");
