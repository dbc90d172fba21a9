import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { writeTerminationMessage } from "../../src/system/termination-log.ts";
import { temporaryFolder } from "../helpers/paths.ts";

const folder = temporaryFolder("termination");
afterAll(folder.done);

test("the file is written over, in place; one that is not there is not made, a link is not followed", () => {
  const file = join(folder.path, "log");
  expect(writeTerminationMessage("x", file)).toBe(false);
  expect(existsSync(file)).toBe(false);
  writeFileSync(file, "something older and longer");
  expect(writeTerminationMessage("reason\n", file)).toBe(true);
  expect(readFileSync(file, "utf8")).toBe("reason\n");
  symlinkSync(file, join(folder.path, "link"));
  expect(writeTerminationMessage("x", join(folder.path, "link"))).toBe(false);
  expect(writeTerminationMessage("x", folder.path)).toBe(false);
  expect(readFileSync(file, "utf8")).toBe("reason\n");
});
