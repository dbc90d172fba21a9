import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { commands } from "../../src/cli/commands.ts";
import { completionScripts } from "../../src/cli/completion-scripts.ts";
import { nearMiss } from "../../src/cli/near-miss.ts";

describe("completion scripts", () => {
  test.each(["bash", "zsh", "fish"] as const)("%s names every visible command and flag", (shell) => {
    const script = completionScripts[shell](commands);
    for (const command of commands.filter((one) => one.hidden !== true)) {
      expect(script).toContain(command.name);
      for (const option of command.options.filter((one) => one.hidden !== true)) {
        expect(script).toContain(shell === "fish" ? `-l ${option.name}` : `--${option.name}`);
      }
    }
  });

  /** Completes in a real bash. */
  const complete = (...words: readonly string[]): readonly string[] =>
    execFileSync("bash", [
      "--norc",
      "-c",
      'eval "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pilotfish; echo "${COMPREPLY[*]}"',
      completionScripts.bash(commands),
      ...words,
    ])
      .toString()
      .trim()
      .split(" ");

  test("bash completes commands and flags", () => {
    expect(complete("pilotfish", "wa")).toEqual(["wait"]);
    expect(complete("pilotfish", "wait", "--time")).toEqual(["--timeoutSeconds="]);
    expect(complete("pilotfish", "version", "--sh")).toEqual(["--short"]);
  });
});

test.each([
  ["prox", "proxy"],
  ["porxy", "proxy"],
  ["comp", "completion"],
  ["Wait", "wait"],
  ["xyz", undefined],
  ["a", undefined],
])("near %s is %s", (word, near) => {
  expect(nearMiss(word, ["proxy", "wait", "completion", "version"])).toBe(near);
});
