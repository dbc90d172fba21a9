import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  checkSharedMemory,
  judgeSharedMemory,
  readSharedMemory,
  removeSharedMemory,
  repairFlag,
  repairOf,
  sharedMemoryPath,
} from "../../../src/process/hot-restart/shared-memory.ts";
import { temporaryFolder } from "../../helpers/paths.ts";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder("shm");
});
afterEach(() => folder.done());

const place = () => ({ baseId: 12, folder: folder.path });

function content(flags: bigint, size = 104n, version = 11n): Buffer {
  const bytes = Buffer.alloc(104, 0xab);
  bytes.writeBigUInt64LE(size, 0);
  bytes.writeBigUInt64LE(version, 8);
  bytes.writeBigUInt64LE(flags, 96);
  return bytes;
}
const put = (bytes: Buffer): void => writeFileSync(sharedMemoryPath(place()), bytes);

test("the file's name is the base-id times ten", () => {
  expect(sharedMemoryPath({ baseId: 17 })).toBe("/dev/shm/envoy_shared_memory_170");
});

test("the flag is read and cleared, and nothing else of the file changes", () => {
  put(content(5n));
  expect(readSharedMemory(place())).toMatchObject({ is: "known", initializing: true, flags: 5n });
  expect(repairFlag(place(), "11.104")).toEqual({ is: "repaired" });
  expect(readFileSync(sharedMemoryPath(place())).equals(content(4n))).toBe(true);
  expect(repairFlag(place(), "11.104")).toEqual({ is: "not-needed", state: "clear" });
  removeSharedMemory(place());
  expect(readSharedMemory(place())).toEqual({ is: "absent" });
  expect(repairFlag(place(), "11.104")).toEqual({ is: "not-needed", state: "absent" });
});

test.each([
  ["another size in the header", content(1n, 112n)],
  ["another version", content(1n, 104n, 12n)],
  ["a longer file", Buffer.concat([content(1n), Buffer.alloc(8)])],
  ["a shorter file", content(1n).subarray(0, 100)],
  ["an empty file", Buffer.alloc(0)],
])("hands off: %s", (_, bytes) => {
  put(bytes);
  expect(readSharedMemory(place())).toMatchObject({ is: "foreign" });
  expect(repairFlag(place(), "11.104")).toMatchObject({ is: "refused" });
  expect(readFileSync(sharedMemoryPath(place())).equals(bytes)).toBe(true);
});

test("another Envoy's version, or an unknown one, is not repaired", () => {
  put(content(1n));
  expect(repairFlag(place(), "12.104")).toMatchObject({ is: "refused", why: expect.stringContaining("12.104") });
  expect(repairFlag(place(), undefined)).toMatchObject({ is: "refused" });
  expect(readSharedMemory(place())).toMatchObject({ initializing: true });
});

test("a link and a folder in its place are not followed", () => {
  const elsewhere = join(folder.path, "elsewhere");
  writeFileSync(elsewhere, content(1n));
  symlinkSync(elsewhere, sharedMemoryPath(place()));
  expect(readSharedMemory(place())).toMatchObject({ is: "unreadable" });
  expect(repairFlag(place(), "11.104")).toMatchObject({ is: "refused" });
  expect(readFileSync(elsewhere).equals(content(1n))).toBe(true);
  mkdirSync(sharedMemoryPath({ baseId: 13, folder: folder.path }));
  expect(readSharedMemory({ baseId: 13, folder: folder.path })).toMatchObject({ is: "unreadable" });
});

test("whether the folder takes shared memory is tried, and nothing is left", () => {
  expect(checkSharedMemory(folder.path)).toBe("usable");
  expect(readdirSync(folder.path)).toEqual([]);
  expect(checkSharedMemory(join(folder.path, "missing"))).toEqual({ why: expect.stringContaining("ENOENT") });
});

test("a repair only ever clears the one bit of a file that says it is ours", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.boolean(), (raw, headed) => {
      const bytes = headed ? Buffer.concat([content(0n).subarray(0, 96), Buffer.from(raw)]) : Buffer.from(raw);
      const state = judgeSharedMemory({ bytes, size: bytes.length, uid: 0 });
      const decision = repairOf(state, "11.104");
      expect(state.is === "known").toBe(headed && raw.length === 8);
      if (decision.is !== "clear") return;
      expect(state).toMatchObject({ is: "known", initializing: true, flags: decision.flags | 1n });
    }),
  );
});
