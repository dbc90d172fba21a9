import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { crashBudgets } from "../../../src/process/crash-book.ts";
import { root } from "../../helpers/paths.ts";

const page = readFileSync(join(root, "docs/hot-restart.md"), "utf8");

test("the budgets on the page are those of the code", () => {
  const table = /<!-- budgets:begin -->\n([\s\S]*?)<!-- budgets:end -->/.exec(page)?.[1] ?? "";
  const rows = [...table.matchAll(/^\| `([a-z-]+)` \| .* \| (\d+) \| (\d+) s \|$/gm)].map(([, cause, most, refill]) => [
    cause,
    { most: Number(most), refill: Number(refill) * 1_000 },
  ]);
  expect(Object.fromEntries(rows)).toEqual(crashBudgets);
});
