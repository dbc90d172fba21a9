// Builds the Go programs of test/golang, each in a folder and a module of its own, into .cache/golang. Modules come from
// the module proxy and are checked against go.sum. Without Go, the tests that need them say so and are skipped.
// Plain JavaScript: it runs on the system's Node.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));
const say = (text) => process.stderr.write(`setup: ${text}\n`);

const programs = [
  { name: "strict-parse", what: "Prometheus' own parser; half a minute the first time" },
  { name: "dashboard-schema", what: "Grafana's schemas of dashboards; a quarter of a minute the first time" },
].map(({ name, what }) => {
  const source = join("test/golang", name);
  const out = join(process.cwd(), ".cache/golang", name);
  return { name, what, source, out, marker: `${out}.source`, print: printOf(source) };
});

function printOf(source) {
  const hash = createHash("sha256");
  for (const name of readdirSync(source).sort()) hash.update(name).update(readFileSync(join(source, name)));
  return hash.digest("hex");
}

const fresh = ({ out, marker, print }) =>
  existsSync(out) && existsSync(marker) && readFileSync(marker, "utf8") === print;

function build({ name, what, source, out, marker, print }) {
  say(`building test/golang/${name} (${what})`);
  mkdirSync(dirname(out), { recursive: true });
  const env = { ...process.env, GOFLAGS: "-mod=readonly -trimpath", GOTOOLCHAIN: "local", CGO_ENABLED: "0" };
  try {
    execFileSync("go", ["build", "-o", out, "."], { cwd: source, env, stdio: ["ignore", 2, 2] });
    writeFileSync(marker, print);
  } catch (error) {
    // An older Go or no module proxy: nothing that the product needs.
    say(`cannot build test/golang/${name}: ${error.message.split("\n")[0]}; its tests say so and are skipped`);
  }
}

const stale = programs.filter((program) => !fresh(program));
if (stale.length > 0 && spawnSync("go", ["version"], { stdio: "ignore" }).status !== 0) {
  say("no Go on this machine: the tests on Prometheus' parser and Grafana's schemas say so and are skipped");
} else for (const program of stale) build(program);
