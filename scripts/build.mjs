// Bundles the product into one CommonJS file, dist/pilotfish.cjs (unbundled costs 0.3 s of every start).
//   node scripts/build.mjs [--if-changed]
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);

function* filesBelow(folder) {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) yield* filesBelow(path);
    else yield path;
  }
}

function fingerprint() {
  const hash = createHash("sha256");
  for (const path of [
    "package.json",
    "package-lock.json",
    "scripts/build.mjs",
    "scripts/compile-proto.mjs",
    "scripts/make-code-cache.cjs",
    "bin/pilotfish",
    ...filesBelow("src"),
    ...filesBelow("proto"),
    ...filesBelow("bootstrap-templates"),
  ]) {
    hash.update(path).update("\0").update(readFileSync(path)).update("\0");
  }
  return hash.digest("hex");
}

/** The commit that the bundle was made from, for `pilotfish version`; "unknown" outside a checkout that names none. */
function commit() {
  if (process.env.PILOTFISH_COMMIT) return process.env.PILOTFISH_COMMIT;
  try {
    return execFileSync("git", ["rev-parse", "--short=12", "HEAD"], { stdio: ["ignore", "pipe", "ignore"] })
      .toString()
      .trim();
  } catch {
    return "unknown";
  }
}

const print = fingerprint();
const marker = "dist/.fingerprint";
if (process.argv.includes("--if-changed") && existsSync(marker) && readFileSync(marker, "utf8") === print)
  process.exit(0);

const { build } = await import("esbuild");
const { version } = JSON.parse(readFileSync("package.json", "utf8"));
mkdirSync("dist", { recursive: true });
rmSync(marker, { force: true });
const temporary = `dist/.pilotfish.${process.pid}.cjs`;
await build({
  entryPoints: ["src/main.ts"],
  bundle: true,
  platform: "node",
  target: "node24",
  format: "cjs",
  minify: true,
  keepNames: false,
  legalComments: "none",
  // koffi finds its .node file beside itself; its folder is copied into the image.
  external: ["koffi"],
  define: {
    __PILOTFISH_VERSION__: JSON.stringify(version),
    __PILOTFISH_COMMIT__: JSON.stringify(commit()),
  },
  outfile: temporary,
  logLevel: "warning",
  // The sources also run unbundled; in the bundle the other branch is taken.
  logOverride: { "empty-import-meta": "silent" },
});
// One letter outside Latin-1 and V8 keeps the whole text with two bytes a letter, for as long as we live.
const beyond = /[^\n]{0,40}[^\0-\x7f][^\n]{0,20}/.exec(readFileSync(temporary, "utf8"));
if (beyond !== null) {
  rmSync(temporary);
  throw new Error(`cannot bundle: "${beyond[0]}" is not ASCII; write the letter as \\uXXXX in the source`);
}
// Envoy's message descriptors, for `pilotfish control-plane` alone: a file beside the bundle, never inside it.
execFileSync(process.execPath, ["scripts/compile-proto.mjs", "--envoy"], { stdio: ["ignore", 2, 2] });
// The last line names the text, so that bin/start.cjs can tell which code cache belongs to it.
const text = readFileSync(temporary, "utf8").trimEnd();
writeFileSync(temporary, `${text}\n//${createHash("sha256").update(text).digest("hex").slice(0, 32)}`);
// Whole then renamed: a pilotfish that starts meanwhile reads the old bundle or the new one, never half of one.
const { renameSync } = await import("node:fs");
renameSync(temporary, "dist/pilotfish.cjs");
makeCodeCache();
writeFileSync(marker, print);

/** For our Node, under the launcher's flags. Without it everything works, starts take longer. */
function makeCodeCache() {
  const ours = join(root, `node_modules/node-linux-${process.arch}/bin/node`);
  const launcher = readFileSync("bin/pilotfish", "utf8");
  const flags = [...launcher.matchAll(/^(?:heap|compile)="([^"]*)"$/gm)].flatMap(([, words]) => words.split(" "));
  const words = [...flags, "scripts/make-code-cache.cjs", "dist/pilotfish.cjs", "dist/pilotfish.cache"];
  const env = { PATH: process.env.PATH, POD_NAME: "pod", POD_NAMESPACE: "ns", INSTANCE_IP: "127.0.0.1" };
  try {
    execFileSync(existsSync(ours) ? ours : process.execPath, words, { stdio: ["ignore", "ignore", 2], env });
  } catch (error) {
    process.stderr.write(`build: no code cache, starts take longer: ${error.message}\n`);
  }
}
