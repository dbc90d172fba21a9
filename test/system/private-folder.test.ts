import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { abandonedFolders, privateFolder } from "../../src/system/private-folder.ts";
import { temporaryFolder } from "../helpers/paths.ts";

let parent: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  parent = temporaryFolder("private");
});
afterEach(() => parent.done());

/** A number that no process has: above the kernel's largest. */
const NOBODY = 4_194_305;

describe("a folder of our own", () => {
  test("nobody else may enter it, and each call makes another one", () => {
    const [one, two] = [privateFolder(parent.path, "ours", 200), privateFolder(parent.path, "ours", 200)];
    expect(statSync(one.path).mode & 0o777).toBe(0o700);
    expect(two.path).not.toBe(one.path);
    writeFileSync(join(one.path, "file"), "");
    one.remove();
    expect([existsSync(one.path), existsSync(two.path)]).toEqual([false, true]);
  });
  test("below the temporary folder when its path would be too long", () => {
    const made = privateFolder(parent.path, "ours", parent.path.length);
    expect(made.path.startsWith(parent.path)).toBe(false);
    made.remove();
  });
  test("throws where there is no place", () => {
    expect(() => privateFolder(join(parent.path, "missing"), "ours", 300)).toThrow("ENOENT");
  });
});

test("abandoned are those of the dead and of a life before with our process id, never a stranger's", () => {
  const names = [`ours-${NOBODY}-0`, `ours-${process.pid}-3`, "ours-1-0", `other-${NOBODY}-0`, "ours-x-0", "ours"];
  for (const name of names) mkdirSync(join(parent.path, name));
  expect([...abandonedFolders(parent.path, "ours")].sort()).toEqual(
    [`ours-${NOBODY}-0`, `ours-${process.pid}-3`].map((name) => join(parent.path, name)).sort(),
  );
  expect(abandonedFolders(join(parent.path, "missing"), "ours")).toEqual([]);
});
