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

describe("what people wrote around the values stays", () => {
  const commentsIn = (text: string): readonly string[] =>
    text.split("\n").flatMap((line) => /(?:^|\s)(#.*)$/.exec(line)?.[1] ?? []);

  for (const name of cases) {
    test(`${name}: every comment`, () => {
      const { pod, config } = readCase(name);
      for (const mode of modes) {
        const result = inject(pod, config, mode);
        if (result.problems.length > 0) continue;
        // The user's own proxy container moves, and the comment of an alias goes with the alias.
        const left = commentsIn(pod).filter((comment) => !commentsIn(result.text).includes(comment));
        expect(left).toEqual(name === "anchors" ? ["# the same question"] : []);
      }
    });
  }
});
