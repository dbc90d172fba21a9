import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { architecturePage, jobs, lifecycleStates } from "../../scripts/architecture-text.ts";
import { lifecycleTable } from "../../src/process/lifecycle.ts";
import { root } from "../helpers/paths.ts";
import { allowedImports } from "./allowed-imports.ts";

const path = join(root, "docs/architecture.md");

test("docs/architecture.md shows the tables of the code; `npm run docs` draws them again", () => {
  const page = readFileSync(path, "utf8");
  const renewed = architecturePage(page);
  if (process.env["UPDATE_DOCS"] === "1") writeFileSync(path, renewed);
  else expect(page).toBe(renewed);
});

test("every folder of the house has a job", () => {
  expect(Object.keys(jobs).toSorted()).toEqual(Object.keys(allowedImports).toSorted());
});

test("every state is a column, every event a row, every cell stands where the code has it", () => {
  const [head = "", , ...rows] = lifecycleStates().split("\n");
  const cells = (line: string): string[] =>
    line
      .split("|")
      .slice(1, -1)
      .map((one) => one.trim());
  const states = cells(head).slice(1);
  expect(states).toEqual(Object.keys(lifecycleTable));
  for (const row of rows) {
    const [event = "", ...names] = cells(row);
    for (const [index, name] of names.entries()) {
      const inCode = lifecycleTable[states[index] ?? ""]?.[event.replaceAll("*", "")] ?? "stay";
      expect(name, `${event} in ${states[index]}`).toBe(inCode === "stay" ? "·" : `\`${inCode}\``);
    }
  }
});

test("a page without its markers is refused", () => {
  expect(() => architecturePage("# nothing here\n")).toThrow("house:begin");
});

test("these pages point at no file that is not there", () => {
  const dead = ["docs/architecture.md", "docs/benchmarks.md", "docs/image.md"].flatMap((file) =>
    [...readFileSync(join(root, file), "utf8").matchAll(/\]\(([^)#\s:]+)(?:#[^)]*)?\)/g)]
      .map(([, to = ""]) => ({ file, to }))
      .filter((link) => !exists(join(root, link.file, "..", link.to))),
  );
  expect(dead).toEqual([]);
});

function exists(file: string): boolean {
  try {
    readFileSync(file);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EISDIR";
  }
}
