import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../helpers/paths.ts";
import type { Given } from "./merge-pages.ts";

export interface Case {
  readonly name: string;
  readonly folder: string;
  readonly sources: readonly Given[];
}

const folder = join(root, "test/golden/metrics");

/** Pages as clients really write them, and pages that nobody should: `N.text.txt`, `N.openmetrics.txt` in order. */
export const corpus: readonly Case[] = readdirSync(folder)
  .sort()
  .map((name) => ({
    name,
    folder: join(folder, name),
    sources: readdirSync(join(folder, name))
      .filter((file) => /^\d\.(text|openmetrics)\.txt$/.test(file))
      .sort()
      .map((file) => ({
        label: file.replace(".txt", ""),
        form: file.includes(".text.") ? "text" : "openmetrics",
        page: readFileSync(join(folder, name, file)),
      })),
  }));
