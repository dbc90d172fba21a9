// Lays out what of us goes into the image (and into `pilotfish install`): the one bundle, its launcher under all its
// names, and koffi's native files. Node and Envoy come from elsewhere.
//   node scripts/image-content.mjs DESTINATION
import { chmodSync, cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const to = process.argv[2];
if (to === undefined) {
  process.stderr.write("image-content: usage: node scripts/image-content.mjs DESTINATION\n");
  process.exit(64);
}
const home = join(to, "usr/local/lib/pilotfish");
const names = join(to, "usr/local/bin");
for (const folder of ["bin", "dist"]) mkdirSync(join(home, folder), { recursive: true });
mkdirSync(names, { recursive: true });
cpSync(join(root, "bin/pilotfish"), join(home, "bin/pilotfish"));
chmodSync(join(home, "bin/pilotfish"), 0o755);
cpSync(join(root, "dist"), join(home, "dist"), { recursive: true, filter: (path) => !path.includes("/.") });
for (const file of ["LICENSE", "package.json"]) cpSync(join(root, file), join(home, file));

// koffi: its loader and the one native file of this machine's kind (glibc and musl lie side by side).
const modules = join(home, "node_modules");
for (const name of ["koffi", `@koromix/koffi-linux-${process.arch}`]) {
  const from = join(root, "node_modules", name);
  if (existsSync(from)) cpSync(from, join(modules, name), { recursive: true, filter: wanted });
}
function wanted(path) {
  // The loader itself is below koffi/src, beside the C++ that nobody needs.
  if (/\/koffi\/src(\/koffi(\/src)?)?$|\/koffi\/src\/.*\.c?js$/.test(path)) return true;
  return !/\/(src|doc|vendor|benchmark|node_modules\/koffi\/lib)(\/|$)/.test(path.slice(root.length));
}
for (const name of ["pilotfish", "pilot-agent", "istio-iptables"]) {
  rmSync(join(names, name), { force: true });
  symlinkSync("../lib/pilotfish/bin/pilotfish", join(names, name));
}
