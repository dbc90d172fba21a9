import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../helpers/paths.ts";
import { allowedImports, exceptions, nodeModules, packages } from "./allowed-imports.ts";

const src = join(root, "src");

function filesBelow(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path) : path.endsWith(".ts") ? [path] : [];
  });
}

interface Import {
  readonly file: string;
  readonly line: number;
  readonly from: string;
}

const files = filesBelow(src);
const imports: readonly Import[] = files.flatMap((path) =>
  readFileSync(path, "utf8")
    .split("\n")
    .flatMap((text, index) => {
      const found = /(?:^\s*import\s+|\bfrom\s+|\bimport\(\s*)"([^"]+)"/.exec(text);
      return found?.[1] === undefined ? [] : [{ file: relative(src, path), line: index + 1, from: found[1] }];
    }),
);

const folderOf = (file: string): string => (file.includes("/") ? (file.split("/")[0] ?? "") : file);

/** What is wrong with this import, or undefined. */
function objection({ file, from }: Import): string | undefined {
  const folder = folderOf(file);
  const more = Object.entries(exceptions).flatMap(([prefix, list]) => (file.startsWith(prefix) ? list : []));
  if (from.startsWith(".")) {
    const target = relative(src, join(src, file, "..", from));
    const targetFolder = folderOf(target);
    if (targetFolder === folder) return undefined;
    const allowed = [...(allowedImports[folder] ?? []), ...more];
    return allowed.some((one) => one === targetFolder || `${one}.ts` === target)
      ? undefined
      : `${folder} may not import ${targetFolder}`;
  }
  if (from.startsWith("node:")) {
    if (folder === "system") return undefined;
    return nodeModules[folder]?.includes(from) ? undefined : `${folder} may not import ${from}: the outside is system/`;
  }
  const allowed = packages[folder] ?? [];
  return allowed.some((one) => from === one || from.startsWith(`${one}/`))
    ? undefined
    : `${folder} may not import the package ${from}`;
}

describe("architecture", () => {
  test("every import is in the table", () => {
    const wrong = imports.flatMap((one) => {
      const why = objection(one);
      return why === undefined
        ? []
        : [
            `src/${one.file}:${one.line}: ${why}; move the code, or change test/architecture/allowed-imports.ts and say why`,
          ];
    });
    expect(wrong).toEqual([]);
  });

  test("the table's rule bites", () => {
    expect(objection({ file: "config/x.ts", line: 1, from: "../process/y.ts" })).toBeDefined();
    expect(objection({ file: "config/x.ts", line: 1, from: "node:fs" })).toBeDefined();
    expect(objection({ file: "config/x.ts", line: 1, from: "left-pad" })).toBeDefined();
  });

  test("every folder of src has a row", () => {
    const rows = new Set(Object.keys(allowedImports));
    expect([...new Set(files.map((path) => folderOf(relative(src, path))))].filter((one) => !rows.has(one))).toEqual(
      [],
    );
  });

  test("no file has more than 400 lines", () => {
    const sizes = [...files, ...filesBelow(join(root, "test")), ...filesBelow(join(root, "bench"))]
      .map((path) => ({ path: relative(root, path), lines: readFileSync(path, "utf8").split("\n").length }))
      .filter(({ lines }) => lines > 400);
    expect(sizes).toEqual([]);
  });

  test("time, chance, the console and the process are behind system/", () => {
    const banned =
      /\b(setTimeout|setInterval|setImmediate|Date\.now|Math\.random|console\.\w+|process\.(env|exit|argv|pid|on|kill|stdout|stderr))\b|\bnew Date\(\)/;
    const wrong = files
      .filter((path) => !["system", "main.ts"].includes(folderOf(relative(src, path))))
      .flatMap((path) =>
        readFileSync(path, "utf8")
          .split("\n")
          .flatMap((text, index) =>
            banned.test(text) && !/^\s*(\*|\/\/|\/\*)/.test(text)
              ? [`src/${relative(src, path)}:${index + 1}: ${text.trim()}`]
              : [],
          ),
      );
    expect(wrong).toEqual([]);
  });
});
