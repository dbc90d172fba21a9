import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { waitCommand } from "../../src/cli/commands/wait.ts";
import { commandNamed, commands } from "../../src/cli/commands.ts";
import { parseArguments } from "../../src/cli/parse-arguments.ts";
import { readWait } from "../../src/cli/wait/read-wait.ts";
import { root } from "../helpers/paths.ts";

const pages = ["start-order.md", "jobs.md"].map((name) => ({
  name,
  text: readFileSync(join(root, "docs", name), "utf8"),
}));

/** Every list of words in a manifest that calls us, from our own name or from a command's on. */
function callsIn(value: unknown): readonly (readonly string[])[] {
  if (Array.isArray(value)) {
    if (!value.every((one) => typeof one === "string")) return value.flatMap(callsIn);
    const ours = /(^|\/)(pilotfish|pilot-agent)$/.test(value[0] ?? "");
    const known = commands.some((one) => one.name === value[0]);
    return ours ? [value.slice(1)] : known ? [value] : [];
  }
  return value !== null && typeof value === "object" ? Object.values(value).flatMap(callsIn) : [];
}

describe.each(pages)("docs/$name", ({ text }) => {
  const manifests = [...text.matchAll(/```yaml\n(.*?)```/gs)].map((found) => parse(found[1] ?? "") as unknown);
  const calls = manifests.flatMap(callsIn);

  test("its manifests can be read, and call us", () => {
    expect(manifests.length).toBeGreaterThan(1);
    expect(calls.length).toBeGreaterThan(1);
  });

  test("every call is one that we understand", () => {
    for (const [name = "", ...words] of calls) {
      const { flags } = parseArguments(words, commandNamed(commands, name).options);
      expect(flags.unknown).toEqual([]);
      expect(flags.problems).toEqual([]);
      if (name === "wait") expect(readWait({ flags, env: new Map() }).targets.length).toBeGreaterThan(0);
    }
  });

  test("every flag that it names is ours", () => {
    const names = new Set(commands.flatMap((one) => one.options.map((option) => option.name)));
    const said = [...text.matchAll(/`--([A-Za-z][\w-]*)/g)].map((found) => found[1] ?? "");
    expect(said.filter((name) => !names.has(name))).toEqual([]);
    expect(said.length).toBeGreaterThan(0);
  });
});

test("the flags of wait are in a page", () => {
  const all = pages.map((page) => page.text).join("\n");
  const missing = waitCommand.options.filter((one) => !all.includes(`--${one.name}`)).map((one) => one.name);
  expect(missing).toEqual(["url", "requestTimeoutMillis"]);
});
