import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cliPage, environmentPage } from "../../scripts/docs-text.ts";
import { commands } from "../../src/cli/commands.ts";
import { root } from "../helpers/paths.ts";

test.each([
  ["cli.md", () => cliPage(commands)],
  ["environment.md", environmentPage],
])("docs/%s is what the tables say; `npm run docs` writes it", (name, page) => {
  expect(readFileSync(join(root, "docs", name), "utf8")).toBe(page());
});

test("a bar inside a cell does not end it", () => {
  for (const page of [cliPage(commands), environmentPage()]) {
    let width = 0;
    for (const line of page.split("\n")) {
      const bars = line.startsWith("|") ? (line.match(/(?<!\\)\|/g)?.length ?? 0) : 0;
      if (width !== 0 && bars !== 0) expect(bars, line).toBe(width);
      width = bars;
    }
  }
});
