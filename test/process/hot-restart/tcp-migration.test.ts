import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { allowTcpMigration } from "../../../src/system/tcp-migration.ts";
import { temporaryFolder } from "../../helpers/paths.ts";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder("sysctl");
});
afterEach(() => folder.done());

test("is switched on once, and what stands against it is said", () => {
  const setting = join(folder.path, "tcp_migrate_req");
  expect(allowTcpMigration(setting)).toEqual({ why: expect.stringContaining("ENOENT") });
  writeFileSync(setting, "0\n");
  expect(allowTcpMigration(setting)).toBe("on");
  expect(readFileSync(setting, "utf8")).toBe("1\n");
  expect(allowTcpMigration(setting)).toBe("was on");
});
