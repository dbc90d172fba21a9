import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { cases, folder, inject, modes, readCase, reportOf } from "./golden-cases.ts";

const rewrite = process.env["UPDATE_GOLDEN"] === "1";

/** Compares with the file beside the input, or writes it when UPDATE_GOLDEN=1. */
function expectGolden(name: string, file: string, text: string): void {
  const path = join(folder, name, file);
  if (rewrite) writeFileSync(path, text);
  expect(existsSync(path), `${path} is missing; run with UPDATE_GOLDEN=1`).toBe(true);
  expect(text).toBe(readFileSync(path, "utf8"));
}

describe("injected manifests are as they were when a person last read them", () => {
  for (const name of cases) {
    test(name, () => {
      const { pod, config } = readCase(name);
      const reports = modes.map((mode) => {
        const result = inject(pod, config, mode);
        if (result.problems.length === 0) expectGolden(name, `${mode}.yaml`, result.text);
        return `${mode}:\n${reportOf(result)}`;
      });
      expectGolden(name, "report.txt", reports.join("\n"));
    });
  }
});
