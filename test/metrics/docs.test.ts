import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { metricTable } from "../../src/metrics/metric-table.ts";
import { processMetrics } from "../../src/metrics/process-lines.ts";
import { reportFamilies } from "../../src/metrics/scrape-report.ts";
import { root } from "../helpers/paths.ts";

const docs = readFileSync(join(root, "docs/metrics.md"), "utf8");
/** `| name | type | labels | meaning |` */
const rows = new Map(
  [...docs.matchAll(/^\| `([a-z_]+)` \| (counter|gauge|histogram) \| .* \| (.+) \|$/gm)].map(([, name, type, help]) => [
    name,
    [type, help],
  ]),
);

test("docs/metrics.md lists every metric with its type and meaning, and no other", () => {
  const table = new Map<string | undefined, readonly (string | undefined)[]>([
    ...Object.entries(metricTable).map(([name, { kind, help }]) => [name, [kind, help]] as const),
    ...processMetrics.map(([name, type, help]) => [name, [type, help]] as const),
    ...reportFamilies.map(({ name, help }) => [name, ["gauge", help]] as const),
  ]);
  expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(table));
});
