// Runs the test lanes one after the other, goes on after a failure, and prints one tally: "N passed, N failed".
//   node scripts/run-tests.mjs quick|all|faults [vitest arguments]
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);
const [which = "all", ...more] = process.argv.slice(2);
const bin = (name) => join("node_modules/.bin", name);
mkdirSync(".cache/tally", { recursive: true });

const checks = [
  ["types", bin("tsc"), ["--noEmit"]],
  ["format and lint", bin("biome"), ["check", "."]],
  ["lint with types", bin("oxlint"), ["--type-aware", "--deny-warnings", "src", "test", "scripts", "bench"]],
];
const lanes = { quick: ["pure"], all: ["pure", "programs", "integration"], faults: ["faults"] }[which];
if (lanes === undefined) {
  process.stderr.write(`run-tests: unknown lane "${which}"; use quick, all or faults\n`);
  process.exit(64);
}

const tally = { passed: 0, failed: 0, skipped: 0 };
const broken = [];
const failures = [];
function check([name, program, args]) {
  process.stdout.write(`\n== ${name}\n`);
  const { status } = spawnSync(program, args, { stdio: "inherit" });
  if (status === 0) tally.passed += 1;
  else {
    tally.failed += 1;
    broken.push(name);
  }
}

function lane(name) {
  process.stdout.write(`\n== tests: ${name}\n`);
  const file = `.cache/tally/.${name}.json`;
  rmSync(file, { force: true });
  const started = Date.now();
  // --no-warnings is not set on purpose: a warning that Node prints fails the run (test/helpers/no-warnings.ts).
  const args = [
    "run",
    "--project",
    name,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${file}`,
    ...more,
  ];
  const { status } = spawnSync(process.execPath, [join("node_modules/vitest/vitest.mjs"), ...args], {
    stdio: "inherit",
  });
  let result;
  try {
    result = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    result = { numPassedTests: 0, numFailedTests: 1, numPendingTests: 0 };
  }
  tally.passed += result.numPassedTests;
  tally.failed += result.numFailedTests;
  tally.skipped += (result.numPendingTests ?? 0) + (result.numTodoTests ?? 0);
  // vitest exits non-zero without a failed test on unhandled errors and on files that could not be loaded.
  if (status !== 0 && result.numFailedTests === 0) tally.failed += 1;
  if (status !== 0) broken.push(`tests: ${name}`);
  failures.push(...failuresOf(result));
  process.stdout.write(`${name}: ${((Date.now() - started) / 1000).toFixed(0)} s\n`);
}

/** Name and first words of each failed test: in a long log they stand far above the tally. */
function failuresOf({ testResults = [] }) {
  return testResults.flatMap(({ assertionResults = [], name, message, status }) => {
    const failed = assertionResults.filter((one) => one.status === "failed");
    if (failed.length === 0) return status === "failed" ? [`${name}: ${message}`] : [];
    return failed.map((one) => `${one.fullName}: ${(one.failureMessages ?? []).join(" ").slice(0, 1_500)}`);
  });
}

if (which !== "faults") for (const one of checks) check(one);
for (const one of lanes) lane(one);
writeFileSync(`.cache/tally/${which}.json`, JSON.stringify(tally));
for (const one of failures) process.stdout.write(`\nfailed: ${one}\n`);
if (broken.length > 0) process.stdout.write(`\nfailed: ${broken.join(", ")}\n`);
process.stdout.write(
  `\n${tally.passed} passed, ${tally.failed} failed${tally.skipped > 0 ? `, ${tally.skipped} skipped` : ""}\n`,
);
process.exit(broken.length === 0 ? 0 : 1);
