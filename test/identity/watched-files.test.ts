import { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FileTexts, type WatchedFiles, watchFiles } from "../../src/identity/watched-files.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { eventually } from "../helpers/eventually.ts";
import { temporaryFolder } from "../helpers/paths.ts";

let folder: ReturnType<typeof temporaryFolder>;
let clock: FakeClock;
let heard: FileTexts[];
let troubles: string[];
let files: WatchedFiles | undefined;
beforeEach(() => {
  folder = temporaryFolder("watched");
  [clock, heard, troubles] = [new FakeClock(), [], []];
});
afterEach(() => {
  files?.close();
  expect(clock.pending()).toBe(0);
  folder.done();
});

const at = (...names: readonly string[]): string => join(folder.path, ...names);
const POLL = 60_000;
const DEBOUNCE = 100;

function watched(poll: number, ...paths: readonly string[]): WatchedFiles {
  files = watchFiles(paths, {
    ...{ clock, poll, debounce: DEBOUNCE },
    onChange: (texts) => heard.push(texts),
    onTrouble: (_path, why) => troubles.push(why),
  });
  return files;
}
/** Only the kernel's events count: the poll comes after the end of the world. */
const withoutPoll = 1e12;
/** Lets the files rest until the change is heard. */
const heardSoon = (what: string, count: number): Promise<unknown> =>
  eventually(what, () => {
    clock.advance(DEBOUNCE);
    return heard.length >= count;
  });

describe("the slow poll, where the kernel tells nothing", () => {
  test("a folder that comes later", () => {
    const one = watched(POLL, at("later", "key.pem"));
    expect(one.texts.get(at("later", "key.pem"))).toBeUndefined();
    mkdirSync(at("later"));
    writeFileSync(at("later", "key.pem"), "a");
    clock.advance(POLL - 1);
    expect(heard).toEqual([]);
    clock.advance(1 + DEBOUNCE);
    expect(heard).toEqual([new Map([[at("later", "key.pem"), "a"]])]);
  });

  test("a folder that was replaced by another of its name; from then on the kernel tells again", async () => {
    mkdirSync(at("here"));
    writeFileSync(at("here", "x"), "old");
    watched(POLL, at("here", "x"));
    renameSync(at("here"), at("away"));
    mkdirSync(at("here"));
    writeFileSync(at("here", "x"), "new");
    clock.advance(POLL + DEBOUNCE);
    expect(heard.at(-1)?.get(at("here", "x"))).toBe("new");
    const before = heard.length;
    writeFileSync(at("here", "x"), "newer");
    await heardSoon("the event of the new folder", before + 1);
    expect(heard.at(-1)?.get(at("here", "x"))).toBe("newer");
  });

  test("what says the same is no change", () => {
    writeFileSync(at("x"), "same");
    watched(POLL, at("x"));
    writeFileSync(at("x"), "same");
    utimesSync(at("x"), 1, 1);
    clock.advance(10 * (POLL + DEBOUNCE));
    expect(heard).toEqual([]);
  });
});

describe("the kernel's events", () => {
  test("a link's new target is watched where it lies, and the old one no more", async () => {
    for (const name of ["one", "two", "links"]) mkdirSync(at(name));
    for (const name of ["one", "two"]) writeFileSync(at(name, "x"), name);
    symlinkSync(at("one", "x"), at("links", "x"));
    watched(withoutPoll, at("links", "x"));
    writeFileSync(at("one", "x"), "one, changed where it lies");
    await heardSoon("a change behind the link", 1);
    symlinkSync(at("two", "x"), at("links", "tmp"));
    renameSync(at("links", "tmp"), at("links", "x"));
    await heardSoon("the link turned", 2);
    expect(heard.at(-1)?.get(at("links", "x"))).toBe("two");
    writeFileSync(at("two", "x"), "two, changed where it lies");
    await heardSoon("a change behind the new target", 3);
    expect(heard.at(-1)?.get(at("links", "x"))).toBe("two, changed where it lies");
    rmSync(at("one"), { recursive: true });
    expect(troubles).toEqual([]);
  });

  test("a file that goes is told, and that it is back", async () => {
    writeFileSync(at("x"), "a");
    watched(withoutPoll, at("x"));
    unlinkSync(at("x"));
    await heardSoon("gone", 1);
    expect(heard.at(-1)?.get(at("x"))).toBeUndefined();
    writeFileSync(at("x"), "b");
    await heardSoon("back", 2);
    expect(heard.at(-1)?.get(at("x"))).toBe("b");
  });

  test("what can't be read is said and counts as not there", async () => {
    writeFileSync(at("x"), "a");
    watched(withoutPoll, at("x"));
    unlinkSync(at("x"));
    mkdirSync(at("x"));
    await heardSoon("a folder in its place", 1);
    expect(heard.at(-1)?.get(at("x"))).toBeUndefined();
    expect(troubles).toContainEqual(expect.stringContaining("it is a directory"));
  });
});
