import {
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FileTexts, type WatchedFiles, watchFiles } from "../../src/identity/watched-files.ts";
import { replaceFiles } from "../../src/system/atomic-folder.ts";
import { realClock } from "../../src/system/clock.ts";
import { eventually } from "../helpers/eventually.ts";
import { temporaryFolder } from "../helpers/paths.ts";

let folder: ReturnType<typeof temporaryFolder>;
const ends: (() => unknown)[] = [];
beforeEach(() => {
  folder = temporaryFolder("files");
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  folder.done();
});
const path = (name: string): string => join(folder.path, name);

describe("files that are replaced as one set", () => {
  test("a reader that opens the folder once never sees a mixed set, over 300 replacements", async () => {
    const target = path("out");
    const write = (n: number): void =>
      replaceFiles(
        target,
        new Map([
          ["a", `${n}`],
          ["b", `${n}`.repeat(5_000)],
          ["c", `${n}`],
        ]),
        0o600,
      );
    write(100);
    // One set is kept for readers in the middle of it: a reader that a slow machine leaves behind by two sees its set go.
    const done = new Int32Array(new SharedArrayBuffer(4));
    const reader = new Worker(
      `const { readFileSync, realpathSync } = require("node:fs"); const { parentPort, workerData } = require("node:worker_threads");
       let [reads, mixed, last, stop] = [0, 0, "", false]; parentPort.on("message", () => { stop = true; });
       const done = workerData.done;
       const look = () => { for (let n = 0; n < 50; n++) { try {
         const set = realpathSync(workerData.target + "/..data");
         const a = readFileSync(set + "/a", "utf8"), b = readFileSync(set + "/b", "utf8"), c = readFileSync(set + "/c", "utf8");
         reads++; if (a !== c || b !== a.repeat(5000)) mixed++; } catch (error) { last = String(error); mixed++; } Atomics.add(done, 0, 1); Atomics.notify(done, 0); }
         if (stop) parentPort.postMessage({ reads, mixed, last }); else setImmediate(look); }; look();`,
      { eval: true, workerData: { target, done } },
    );
    for (let n = 101; n < 401; n++) {
      write(n);
      await Atomics.waitAsync(done, 0, Atomics.load(done, 0), 10_000).value;
    }
    const result = new Promise((resolve) => reader.once("message", resolve));
    reader.postMessage("stop");
    expect(await result).toMatchObject({ mixed: 0, last: "" });
    await reader.terminate();
    expect(readFileSync(join(target, "a"), "utf8")).toBe("400");
    expect(statSync(join(target, "b")).mode & 0o777).toBe(0o600);
    // This set, the one before, the link, three names.
    expect(readdirSync(target)).toHaveLength(6);
  });

  test("plain files that were there before are taken over", () => {
    mkdirSync(path("out"));
    writeFileSync(path("out/a"), "old");
    writeFileSync(path("out/other"), "somebody's");
    replaceFiles(path("out"), new Map([["a", "new"]]), 0o640);
    expect(readFileSync(path("out/a"), "utf8")).toBe("new");
    expect(readFileSync(path("out/other"), "utf8")).toBe("somebody's");
    expect(statSync(path("out/a")).mode & 0o777).toBe(0o640);
  });
});

describe("files that are watched", () => {
  function watch(paths: readonly string[], poll = 60_000): { readonly seen: string[]; readonly files: WatchedFiles } {
    const seen: string[] = [];
    const files = watchFiles(paths, {
      clock: realClock,
      debounce: 10,
      poll,
      onChange: (texts: FileTexts) => seen.push([...texts.values()].map((text) => text ?? "-").join("|")),
      onTrouble: () => undefined,
    });
    ends.push(() => files.close());
    return { seen, files };
  }

  test("a plain file: written, replaced by a rename, removed, made again", async () => {
    writeFileSync(path("f"), "1");
    const { seen, files } = watch([path("f")]);
    expect(files.texts.get(path("f"))).toBe("1");
    writeFileSync(path("f"), "2");
    await eventually("written", () => seen.at(-1) === "2");
    writeFileSync(path("g"), "3");
    renameSync(path("g"), path("f"));
    await eventually("renamed", () => seen.at(-1) === "3");
    rmSync(path("f"));
    await eventually("removed", () => seen.at(-1) === "-");
    writeFileSync(path("f"), "4");
    await eventually("made again", () => seen.at(-1) === "4");
  });

  test("the same content again is no change", async () => {
    writeFileSync(path("f"), "1");
    const { seen } = watch([path("f")]);
    writeFileSync(path("f"), "1");
    writeFileSync(path("other"), "x");
    writeFileSync(path("f"), "2");
    await eventually("the change", () => seen.length > 0);
    expect(seen).toEqual(["2"]);
  });

  test("a link into another folder, turned and then changed at its new place", async () => {
    for (const name of ["one", "two"]) {
      mkdirSync(path(name));
      writeFileSync(path(`${name}/f`), name);
    }
    symlinkSync(path("one/f"), path("link"));
    const { seen } = watch([path("link")]);
    symlinkSync(path("two/f"), path("next"));
    renameSync(path("next"), path("link"));
    await eventually("turned", () => seen.at(-1) === "two");
    writeFileSync(path("two/f"), "two, changed");
    await eventually("changed", () => seen.at(-1) === "two, changed");
  });

  test("a folder that is not there yet, and one that is replaced: the poll finds both", async () => {
    const { seen } = watch([path("late/f")], 30);
    mkdirSync(path("late"));
    writeFileSync(path("late/f"), "1");
    await eventually("there", () => seen.at(-1) === "1");
    mkdirSync(path("fresh"));
    writeFileSync(path("fresh/f"), "2");
    renameSync(path("late"), path("gone"));
    renameSync(path("fresh"), path("late"));
    await eventually("replaced", () => seen.at(-1) === "2");
    writeFileSync(path("late/f"), "3");
    await eventually("and watched", () => seen.at(-1) === "3");
    expect(realpathSync(path("late"))).toBe(path("late"));
  });
});
