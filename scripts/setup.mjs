// Set-up for every npm command, on a machine that has only Node 20+, npm, Python 3 with pip (and apt, as root on
// Debian). Plain JavaScript, because it runs on the system's Node before ours is there. Each step says what it does
// and is skipped when it is done already.
//
//   node scripts/setup.mjs [quick|demo|test|faults]
//
// quick: packages and bundle. demo: also a real Envoy. test: also the system packages, and the programs that judge
// our metrics and dashboard (Python's strict parser, Prometheus, its Go parser, Grafana's schemas). faults: also what
// only the long cases use.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);
const say = (text) => process.stderr.write(`setup: ${text}\n`);
const goal = process.argv[2] ?? "test";

function newerThan(file, than) {
  return existsSync(file) && statSync(file).mtimeMs >= statSync(than).mtimeMs;
}

function packages() {
  const marker = "node_modules/.package-lock.json";
  const ours = join("node_modules", `node-linux-${process.arch}`, "bin/node");
  if (newerThan(marker, "package-lock.json") && existsSync(ours)) return;
  say("installing the npm packages of package-lock.json, our Node among them (about 250 MB)");
  const npm = process.env.npm_execpath;
  const [program, first] = npm ? [process.execPath, [npm]] : ["npm", []];
  // Not `npm ci`: it wants every other platform's optional binaries (macOS, Windows) in the lock file, also where the
  // registry in use does not carry them. `install --no-save` takes versions and digests from the lock file as well,
  // and writes neither it nor package.json.
  const flags = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
  execFileSync(program, [...first, "install", ...flags], { stdio: ["ignore", 2, 2] });
}

function systemPackages(...lists) {
  const wanted = lists
    .flatMap((list) => readFileSync(join("scripts", list), "utf8").split("\n"))
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  if (process.getuid?.() !== 0 || !existsSync("/etc/debian_version")) {
    say("not root on Debian: system packages are left alone; tests that need a missing one say so and are skipped");
    return;
  }
  const installed = (name) => {
    try {
      const state = execFileSync("dpkg-query", ["-W", "-f", "${db:Status-Status}", name], {
        stdio: ["ignore", "pipe", "ignore"],
      });
      return state.toString() === "installed";
    } catch {
      return false;
    }
  };
  const missing = wanted.filter((name) => !installed(name));
  if (missing.length === 0) return;
  say(`installing system packages: ${missing.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args) => execFileSync("apt-get", args, { stdio: ["ignore", "ignore", 2], env });
  apt("-qq", "update");
  apt("-qq", "-y", "--no-install-recommends", "-o", "Dpkg::Lock::Timeout=120", "install", ...missing);
}

const run = (script, ...args) =>
  execFileSync(process.execPath, [join("scripts", script), ...args], { stdio: ["ignore", 2, 2] });

try {
  packages();
  run("build.mjs", "--if-changed");
  if (goal !== "quick") run("fetch-envoy.mjs");
  if (goal === "test" || goal === "faults") {
    // Tests change Envoy's binary to the release before and back.
    run("fetch-envoy.mjs", JSON.parse(readFileSync("scripts/envoy.json", "utf8")).previous);
    systemPackages("system-packages.txt", ...(goal === "faults" ? ["system-packages-faults.txt"] : []));
    run("setup-python.mjs");
    run("fetch-prometheus.mjs");
    run("build-golang.mjs");
  }
} catch (error) {
  say(`cannot finish: ${error.message}`);
  process.exit(69);
}
