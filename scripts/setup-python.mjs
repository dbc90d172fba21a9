// Puts the Python packages of scripts/python-requirements.txt into a virtual environment, .cache/python; digests are
// checked by pip. Plain JavaScript: it runs on the system's Node.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));
const home = ".cache/python";
const marker = join(home, ".requirements");
const requirements = "scripts/python-requirements.txt";
const print = createHash("sha256").update(readFileSync(requirements)).digest("hex");
if (existsSync(marker) && readFileSync(marker, "utf8") === print) process.exit(0);

process.stderr.write("setup: making a Python environment with the packages of scripts/python-requirements.txt\n");
const quiet = { stdio: ["ignore", 2, 2] };
rmSync(home, { recursive: true, force: true });
// Without pip of its own: Debian keeps the module for that in another package; the system's pip can install into it.
execFileSync("python3", ["-m", "venv", "--without-pip", home], quiet);
const python = join(process.cwd(), home, "bin/python");
const install = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"];
execFileSync("python3", ["-m", "pip", "--python", python, ...install, "-r", requirements], quiet);
writeFileSync(marker, print);
