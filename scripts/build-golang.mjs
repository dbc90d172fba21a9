// Builds the Go programs of test/golang into .cache/golang: Prometheus' own parser, for the tests. Modules come from
// the module proxy and are checked against go.sum. Without Go, the tests that need them say so and are skipped.
// Plain JavaScript: it runs on the system's Node.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));
const say = (text) => process.stderr.write(`setup: ${text}\n`);
const program = "strict-parse";
const source = join("test/golang", program);
const out = join(process.cwd(), ".cache/golang", program);
const hash = createHash("sha256");
for (const name of readdirSync(source).sort()) hash.update(name).update(readFileSync(join(source, name)));
const print = hash.digest("hex");
const marker = `${out}.source`;
if (existsSync(out) && existsSync(marker) && readFileSync(marker, "utf8") === print) process.exit(0);
if (spawnSync("go", ["version"], { stdio: "ignore" }).status !== 0) {
  say("no Go on this machine: the tests on Prometheus' own Go parser say so and are skipped");
  process.exit(0);
}
say("building test/golang (Prometheus' own parser; half a minute the first time)");
mkdirSync(dirname(out), { recursive: true });
const env = { ...process.env, GOFLAGS: "-mod=readonly -trimpath", GOTOOLCHAIN: "local", CGO_ENABLED: "0" };
try {
  execFileSync("go", ["build", "-o", out, "."], { cwd: source, env, stdio: ["ignore", 2, 2] });
  writeFileSync(marker, print);
} catch (error) {
  // An older Go or no module proxy: nothing that the product needs.
  say(`cannot build test/golang: ${error.message.split("\n")[0]}; its tests say so and are skipped`);
}
