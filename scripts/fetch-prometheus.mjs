// Puts prometheus and promtool of Debian's package at .cache/prometheus/bin. The package is taken apart, not
// installed: no daemon is started, no user is made, and it works without root as long as apt knows the package.
// Plain JavaScript: it runs on the system's Node.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));
const target = ".cache/prometheus/bin";
const names = ["prometheus", "promtool"];
const say = (text) => process.stderr.write(`setup: ${text}\n`);
if (names.every((name) => existsSync(join(target, name)))) process.exit(0);
if (!existsSync("/etc/debian_version")) {
  say("not Debian: there is no prometheus package; the tests that need it say so and are skipped");
  process.exit(0);
}

mkdirSync(target, { recursive: true });
// Below .cache so that the last step is a rename; apt itself wants a folder that everybody may read.
const work = mkdtempSync(join(".cache", ".prometheus-"));
const download = mkdtempSync(join(tmpdir(), "pilotfish-deb-"));
const apt = (...args) => execFileSync("apt-get", args, { stdio: ["ignore", "ignore", "ignore"], cwd: download });
try {
  say("fetching Debian's prometheus package (19 MB) for promtool and a real Prometheus");
  try {
    apt("-qq", "download", "prometheus");
  } catch {
    apt("-qq", "-o", "DPkg::Lock::Timeout=120", "update");
    apt("-qq", "download", "prometheus");
  }
  const [file] = readdirSync(download).filter((name) => name.endsWith(".deb"));
  execFileSync("dpkg-deb", ["-x", join(download, file), work], { stdio: ["ignore", 2, 2] });
  for (const name of names) renameSync(join(work, "usr/bin", name), join(target, name));
} finally {
  rmSync(work, { recursive: true, force: true });
  rmSync(download, { recursive: true, force: true });
}
