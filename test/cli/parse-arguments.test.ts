import { describe, expect, test } from "vitest";
import type { Option } from "../../src/cli/command.ts";
import { parseArguments } from "../../src/cli/parse-arguments.ts";

const options: readonly Option[] = [
  { name: "domain", kind: "string", summary: "" },
  { name: "file", short: "c", kind: "string", placeholder: "FILE", summary: "" },
  { name: "verbose", short: "v", kind: "boolean", summary: "" },
  { name: "dry-run", short: "n", kind: "boolean", summary: "" },
  { name: "statusPort", kind: "number", summary: "" },
  { name: "tag", kind: "list", repeatable: true, summary: "" },
];

interface Case {
  readonly title: string;
  readonly words: readonly string[];
  readonly values?: Readonly<Record<string, readonly string[]>>;
  readonly positionals?: readonly string[];
  readonly rest?: readonly string[];
  readonly unknown?: readonly string[];
  readonly help?: boolean;
  readonly problems?: readonly string[];
}

const cases: readonly Case[] = [
  { title: "the space form", words: ["--domain", "a.b"], values: { domain: ["a.b"] } },
  { title: "the = form", words: ["--domain=a=b"], values: { domain: ["a=b"] } },
  { title: "an empty value", words: ["--domain=", "-c", ""], values: { domain: [""], file: [""] } },
  { title: "a value that begins with a dash", words: ["--statusPort", "-1"], values: { statusPort: ["-1"] } },
  { title: "short forms", words: ["-c", "a", "-cb", "-c=d"], values: { file: ["a", "b", "d"] } },
  { title: "short booleans in one word", words: ["-vn"], values: { verbose: ["true"], "dry-run": ["true"] } },
  { title: "a short boolean, then a value", words: ["-vcx"], values: { verbose: ["true"], file: ["x"] } },
  {
    title: "a boolean does not take the next word",
    words: ["--verbose", "false"],
    values: { verbose: ["true"] },
    positionals: ["false"],
  },
  { title: "a boolean with =", words: ["--verbose=false", "-n=0"], values: { verbose: ["false"], "dry-run": ["0"] } },
  { title: "words between flags", words: ["a", "-v", "b"], values: { verbose: ["true"] }, positionals: ["a", "b"] },
  { title: "one flag several times", words: ["--tag=a", "--tag", "b,c"], values: { tag: ["a", "b,c"] } },
  { title: "a lone dash is a word", words: ["-"], positionals: ["-"] },
  {
    title: "what stands behind --",
    words: ["a", "--", "--domain", "$(x)", "--"],
    positionals: ["a"],
    rest: ["--domain", "$(x)", "--"],
  },
  { title: "nothing behind --", words: ["--"], rest: [] },
  {
    title: "an unknown flag takes the next word",
    words: ["--nope", "x", "y"],
    unknown: ["--nope"],
    positionals: ["y"],
  },
  {
    title: "an unknown flag before a flag",
    words: ["--nope", "-v"],
    unknown: ["--nope"],
    values: { verbose: ["true"] },
  },
  { title: "an unknown flag with =", words: ["--nope=1", "y"], unknown: ["--nope"], positionals: ["y"] },
  { title: "an unknown flag at the end", words: ["--nope"], unknown: ["--nope"] },
  { title: "an unknown short flag", words: ["-q", "x"], unknown: ["-q"] },
  { title: "a flag and its value in one word", words: ["-c /etc/envoy.yaml"], values: { file: ["/etc/envoy.yaml"] } },
  { title: "a long one too", words: ["--domain  a b "], values: { domain: ["a b"] } },
  { title: "a boolean in one word with its value", words: ["--verbose false"], values: { verbose: ["false"] } },
  { title: "an unknown one in one word", words: ["--nope a", "b"], unknown: ["--nope"], positionals: ["b"] },
  { title: "blanks in a value after =", words: ["--domain=-c x"], values: { domain: ["-c x"] } },
  { title: "blanks in a word", words: ["a b"], positionals: ["a b"] },
  {
    title: "help anywhere",
    words: ["a", "--domain", "x", "--help"],
    values: { domain: ["x"] },
    positionals: ["a"],
    help: true,
  },
  { title: "short help", words: ["-h"], help: true },
  { title: "help behind -- is not ours", words: ["--", "-h"], rest: ["-h"] },
  { title: "no value", words: ["--file"], problems: ["--file: needs a value; write --file FILE"] },
  {
    title: "unexpanded variables, each named",
    words: ["--domain", "$(A_B).$(C)", "$(D)"],
    problems: [
      '--domain: "$(A_B).$(C)" has an unexpanded $(A_B); set the variable A_B in the container\'s env',
      '--domain: "$(A_B).$(C)" has an unexpanded $(C); set the variable C in the container\'s env',
      'argument: "$(D)" has an unexpanded $(D); set the variable D in the container\'s env',
    ],
  },
  { title: "a dollar alone is a value", words: ["--domain", "$x$()"], values: { domain: ["$x$()"] } },
];

describe("words are taken apart as pflag does", () => {
  test.each(cases)("$title", (one) => {
    const { flags, help } = parseArguments(one.words, options);
    expect({
      values: Object.fromEntries(flags.values),
      positionals: flags.positionals,
      rest: flags.rest,
      unknown: flags.unknown,
      help,
      problems: flags.problems.map(({ name, text }) => `${name}: ${text}`),
    }).toEqual({
      values: one.values ?? {},
      positionals: one.positionals ?? [],
      rest: one.rest,
      unknown: one.unknown ?? [],
      help: one.help ?? false,
      problems: one.problems ?? [],
    });
  });
});
