import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { root, temporaryFolder } from "../helpers/paths.ts";

/* bin/start.cjs: the code that V8 made at build time is used if it fits, and never in the way if it does not. */

const folders: { readonly done: () => void }[] = [];
afterEach(() => {
  for (const one of folders.splice(0)) one.done();
});

/** A copy of the program whose code cache is `change`d. */
function copied(change: (cache: Buffer) => Buffer | undefined): string {
  const folder = temporaryFolder("code-cache");
  folders.push(folder);
  for (const name of ["bin", "dist"]) mkdirSync(join(folder.path, name));
  for (const name of ["bin/pilotfish", "bin/start.cjs", "dist/pilotfish.cjs"])
    copyFileSync(join(root, name), join(folder.path, name));
  symlinkSync(join(root, "node_modules"), join(folder.path, "node_modules"));
  const cache = change(readFileSync(join(root, "dist/pilotfish.cache")));
  if (cache !== undefined) writeFileSync(join(folder.path, "dist/pilotfish.cache"), cache);
  return join(folder.path, "bin/pilotfish");
}

const version = (launcher: string): string => execFileSync(launcher, ["version"], { encoding: "utf8" });

test.each<readonly [string, (cache: Buffer) => Buffer | undefined]>([
  ["its own", (cache) => cache],
  ["none", () => undefined],
  ["one of another build", (cache) => Buffer.concat([Buffer.alloc(32, "0"), cache.subarray(32)])],
  ["one of another Node", (cache) => Buffer.concat([cache.subarray(0, 32), Buffer.alloc(cache.length - 32, 7)])],
  ["an empty one", () => Buffer.alloc(0)],
])("with a code cache that is %s the program runs", (_title, change) => {
  expect(version(copied(change))).toMatch(/^pilotfish \d+\.\d+\.\d+ \(/);
});

test("V8 takes the cache of this build under the launcher's flags", () => {
  const launcher = readFileSync(join(root, "bin/pilotfish"), "utf8");
  const flags = [...launcher.matchAll(/^(?:heap|compile)="([^"]*)"$/gm)].flatMap(([, words = ""]) => words.split(" "));
  const look = `
    const { readFileSync } = require("node:fs");
    const wrapped = require("node:module").wrap(readFileSync("dist/pilotfish.cjs", "latin1"));
    const cachedData = readFileSync("dist/pilotfish.cache").subarray(32);
    console.log(new (require("node:vm").Script)(wrapped, { cachedData }).cachedDataRejected);`;
  const answer = execFileSync(process.execPath, [...flags, "-e", look], { cwd: root, encoding: "utf8" });
  expect(answer.trim()).toBe("false");
});
