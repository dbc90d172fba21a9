// npm run soak -- --minutes 10 --seed 7: random faults under load, then the tally. Exit code 1 when a failure could
// have been avoided, or something leaks. What the proxy wrote is in .cache/soak/SEED.log.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../helpers/paths.ts";
import { soak } from "./soak.ts";

const { values } = parseArgs({ options: { minutes: { type: "string" }, seed: { type: "string" } } });
const minutes = Number(values.minutes ?? 10);
const seed = Number(values.seed ?? Date.now() % 1_000_000);
if (!(minutes > 0) || !Number.isInteger(seed)) {
  process.stderr.write("soak: --minutes is a number above 0, --seed a whole number\n");
  process.exit(64);
}
const { text, good, log } = await soak(minutes, seed);
process.stdout.write(text);
const folder = join(root, ".cache/soak");
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, `${seed}.log`), log);
process.stdout.write(`The proxy's log: .cache/soak/${seed}.log\n`);
process.exitCode = good ? 0 : 1;
