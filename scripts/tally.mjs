// Adds up what the lanes of this run wrote and prints the closing line of .ci/run.
import { existsSync, readFileSync } from "node:fs";

let [passed, failed, skipped] = [0, 0, 0];
for (const lane of ["all", "faults"]) {
  const file = `.cache/tally/${lane}.json`;
  if (!existsSync(file)) {
    failed += 1;
    process.stdout.write(`${lane}: did not finish\n`);
    continue;
  }
  const one = JSON.parse(readFileSync(file, "utf8"));
  passed += one.passed;
  failed += one.failed;
  skipped += one.skipped;
}
process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`);
