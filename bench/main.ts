// npm run bench [group …]: measures, never judges with an exit code. Groups run one after the other.
import { cpus, totalmem } from "node:os";
import type { BenchGroup, Row } from "./row.ts";

const groups: readonly (() => Promise<readonly BenchGroup[]>)[] = [
  async () => (await import("./start.ts")).groups,
  async () => (await import("./drain.ts")).groups,
  async () => (await import("./scrape.ts")).groups,
  async () => (await import("./orphans.ts")).groups,
  async () => (await import("./metrics.ts")).groups,
  async () => (await import("./spelling.ts")).groups,
  async () => (await import("./webhook.ts")).groups,
  async () => (await import("./control-plane.ts")).groups,
  async () => (await import("./hot-restart.ts")).groups,
];

const wanted = process.argv.slice(2);
process.stdout.write(
  `${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}\n`,
);
for (const load of groups) {
  for (const group of await load()) {
    if (wanted.length > 0 && !wanted.includes(group.name)) continue;
    process.stdout.write(`\n${group.name}\n`);
    for (const row of await group.run()) process.stdout.write(line(row));
  }
}

function line(row: Row): string {
  const against = row.against === undefined ? "" : `  [${row.against}]`;
  const goal =
    row.goal === undefined ? "" : `  goal ${row.goal}${row.met === undefined ? "" : row.met ? ": met" : ": NOT met"}`;
  return `  ${row.what.padEnd(44)} ${row.value}${against}${goal}\n`;
}
