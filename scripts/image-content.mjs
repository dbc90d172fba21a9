// Lays out what of us goes into the image: the bundle, its launcher under all its names, koffi's native file, the
// licences of everything that is in the bundle, and on demand the Node that runs this script. Envoy comes from elsewhere.
//   node scripts/image-content.mjs DESTINATION [--with-node]
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const [to, ...more] = process.argv.slice(2);
if (to === undefined || more.some((word) => word !== "--with-node")) {
  process.stderr.write("image-content: usage: node scripts/image-content.mjs DESTINATION [--with-node]\n");
  process.exit(64);
}
const home = join(to, "usr/local/lib/pilotfish");
const names = join(to, "usr/local/bin");

function copy(path, mode = 0o644, from = join(root, path)) {
  const target = join(home, path);
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(from, target);
  chmodSync(target, mode);
}

copy("bin/pilotfish", 0o755);
copy("bin/start.cjs");
copy("dist/pilotfish.cjs");
copy("dist/pilotfish.cache");
// 0.3 MB, read by `pilotfish control-plane` alone; without it that command would be missing from the image.
copy("dist/envoy-descriptors.json");
copy("LICENSE");
// The launcher looks for it there. No other Node and no npm is in the image.
if (more.includes("--with-node")) {
  copy("bin/node", 0o755, process.execPath);
  copy("LICENSE.node", 0o644, join(dirname(process.execPath), "../LICENSE"));
}

/** koffi carries its sources and files for a dozen platforms: its loader and the one native file are 1.2 MB. */
const libc = process.report.getReport().header.glibcVersionRuntime === undefined ? "musl" : "linux";
const native = `node_modules/@koromix/koffi-linux-${process.arch}`;
for (const path of [
  ...filesBelow("node_modules/koffi/src/koffi").filter((path) => path.endsWith(".cjs")),
  "node_modules/koffi/index.cjs",
  "node_modules/koffi/package.json",
  `${native}/index.js`,
  `${native}/package.json`,
  `${native}/${libc}_${process.arch}/koffi.node`,
])
  copy(path);

function filesBelow(folder) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

/** The bundle has no comments left, so the licences of the packages in it stand beside it. */
function licences() {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  const bundled = Object.keys(packages).filter(
    (path) => path !== "" && !packages[path].dev && !/node-linux-/.test(path) && existsSync(join(root, path)),
  );
  return bundled.map((path) => {
    const file = readdirSync(join(root, path)).find((name) => /^(licen[cs]e|copying)/i.test(name));
    const text =
      file === undefined ? `Licence: ${packages[path].license}\n` : readFileSync(join(root, path, file), "utf8");
    return `== ${path.replace(/^.*node_modules\//, "")} ${packages[path].version}\n\n${text}`;
  });
}
writeFileSync(join(home, "THIRD-PARTY-LICENSES"), licences().join("\n"));

mkdirSync(names, { recursive: true });
for (const name of ["pilotfish", "pilot-agent", "istio-iptables"]) {
  rmSync(join(names, name), { force: true });
  symlinkSync("../lib/pilotfish/bin/pilotfish", join(names, name));
}
