import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Problem } from "../../src/foundation/errors.ts";
import { readInjectorConfig } from "../../src/inject/injector-config-reader.ts";
import { annotations } from "../../src/inject/names.ts";
import { root } from "../helpers/paths.ts";
import { cases } from "./golden-cases.ts";

const page = readFileSync(join(root, "docs/injection.md"), "utf8");
const recipes = readFileSync(join(root, "docs/recipes.md"), "utf8");

/** Names of the settings of one map, from what the reader says about one that does not exist. */
function settingsOf(map: object): readonly string[] {
  const problems: Problem[] = [];
  readInjectorConfig(map as never, "1", problems);
  return (problems[0]?.text.split("known are ")[1] ?? "").split(", ");
}

describe("docs/injection.md", () => {
  test("has every setting of the configuration", () => {
    const top = settingsOf({ x: 1 });
    expect(top.length).toBeGreaterThan(25);
    expect(top.filter((name) => !page.includes(`\`${name}`))).toEqual([]);
    for (const part of ["ports", "proxy", "init", "capture"]) {
      const names = settingsOf({ [part]: { x: 1 } });
      expect(names.filter((name) => !page.includes(`\`${part}.${name}\``) && !page.includes(`\`.${name}\``))).toEqual(
        [],
      );
    }
  });

  test("has every annotation that is read", () => {
    const written = page.replaceAll(
      /`([^`{]*)\{([^}]*)\}([^`{]*)(?:\{([^}]*)\})?([^`]*)`/g,
      (_, a: string, b: string, c: string, d = "", e = "") =>
        b
          .split(",")
          .flatMap((one) => d.split(",").map((two: string) => `${a}${one}${c}${two}${e}`))
          .join(" "),
    );
    const short = written.replaceAll("…/", "traffic.sidecar.istio.io/");
    const own = new Set<string>([
      annotations.revision,
      annotations.defaultContainer,
      annotations.defaultLogsContainer,
      annotations.inject,
    ]);
    expect(Object.values(annotations).filter((name) => !own.has(name) && !short.includes(name))).toEqual([]);
  });
});

describe("docs/recipes.md", () => {
  test("has an entry for every manifest of the seeds, with its file", () => {
    const seeds = cases.filter((name) => name.startsWith("seed-"));
    expect(seeds.length).toBeGreaterThanOrEqual(11);
    expect(seeds.filter((name) => !recipes.includes(`test/golden/inject/${name}`))).toEqual([]);
  });
});
