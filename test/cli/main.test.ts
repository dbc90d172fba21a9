import { describe, expect, test } from "vitest";
import type { Call, Command } from "../../src/cli/command.ts";
import { commands } from "../../src/cli/commands.ts";
import { runProgram } from "../../src/cli/main.ts";
import { logOptions } from "../../src/cli/options/log-options.ts";
import { InternalError, InvalidConfig, Refused, Unavailable } from "../../src/foundation/errors.ts";

const command = (name: string, run: (call: Call) => Promise<number>, more: Partial<Command> = {}): Command => ({
  name,
  summary: `Does ${name}.`,
  usage: name,
  description: [],
  options: [{ name: "level", kind: "number", summary: "A level." }, ...logOptions],
  unknownFlags: "warn",
  exitCodes: [],
  load: () => Promise.resolve({ run }),
  ...more,
});

const failing = (error: unknown) => () => Promise.reject(error instanceof Error ? error : new Error(String(error)));

const table: readonly Command[] = [
  command("ok", () => Promise.resolve(0), { aliases: ["istio-ok"] }),
  command("echo", (call) => {
    call.out(JSON.stringify([Object.fromEntries(call.flags.values), call.flags.positionals, call.flags.rest]));
    return Promise.resolve(7);
  }),
  command("strict", () => Promise.resolve(0), { unknownFlags: "error" }),
  command("own", () => Promise.resolve(0), { signals: "own" }),
  command("collects", (call) => Promise.resolve(call.flags.problems?.length ?? -1), { ownProblems: true }),
  command(
    "invalid",
    failing(
      new InvalidConfig([
        { name: "A", text: "bad" },
        { name: "B", text: "worse" },
      ]),
    ),
  ),
  command("missing", failing(new Unavailable("cannot start: no Envoy"))),
  command("refused", failing(new Refused("cannot wait: timed out"))),
  command("bug", failing(new InternalError("state"))),
  command("surprise", failing(new TypeError("x is not a function"))),
  command("hidden", () => Promise.resolve(0), { hidden: true }),
];

async function call(words: readonly string[], commandTable = table) {
  const seen = { out: "", err: "", defaulted: 0 };
  const code = await runProgram(
    {
      words,
      env: new Map(),
      out: (text) => (seen.out += text),
      err: (text) => (seen.err += text),
      defaultSignals: () => seen.defaulted++,
    },
    commandTable,
  );
  return { code, ...seen };
}

describe("exit codes and messages", () => {
  test.each([
    { words: ["ok"], code: 0, err: /^$/ },
    { words: ["istio-ok"], code: 0, err: /^$/ },
    { words: ["echo"], code: 7, err: /^$/ },
    { words: ["invalid"], code: 64, err: /^pilotfish: cannot use this configuration:\n {2}A: bad\n {2}B: worse\n$/ },
    { words: ["missing"], code: 69, err: /^pilotfish: cannot start: no Envoy\n$/ },
    { words: ["refused"], code: 1, err: /^pilotfish: cannot wait: timed out\n$/ },
    { words: ["bug"], code: 70, err: /^pilotfish: internal error: state\n.*main\.test\.ts/s },
    { words: ["surprise"], code: 70, err: /^pilotfish: internal error: TypeError: x is not a function\n/ },
    { words: [], code: 64, err: /Commands:.*cannot run: no command was given/s },
    {
      words: ["ech"],
      code: 64,
      err: /ech: there is no such command; did you mean "echo"\? "pilotfish help" lists them/,
    },
    { words: ["istio-o"], code: 64, err: /did you mean "istio-ok"/ },
    { words: ["qqqqqq"], code: 64, err: /qqqqqq: there is no such command; "pilotfish help"/ },
    { words: ["strict", "--levl", "1"], code: 64, err: /--levl: there is no such flag; did you mean --level\?/ },
    { words: ["ok", "--level"], code: 64, err: /cannot run "ok":\n {2}--level: needs a value/ },
    { words: ["collects", "--level", "--log_target"], code: 0, err: /^$/ },
    { words: ["collects", "$(X)", "--level"], code: 2, err: /^$/ },
  ])("$words gives $code", async ({ words, code, err }) => {
    const seen = await call(words);
    expect(seen.err).toMatch(err);
    expect(seen.code).toBe(code);
  });

  test("unknown flags are one warning for a drop-in command", async () => {
    const seen = await call(["ok", "--a", "1", "--b=2", "--a", "-z"]);
    expect(seen).toMatchObject({
      code: 0,
      err: "pilotfish: warning: ignored flags that are not known: --a, --b, -z\n",
    });
  });

  test("log flags may stand before the command", async () => {
    const seen = await call(["--log_output_level", "ads:debug", "--log_as_json", "echo", "x", "--", "y"]);
    expect(JSON.parse(seen.out)).toEqual([{ log_output_level: ["ads:debug"], log_as_json: ["true"] }, ["x"], ["y"]]);
  });

  test("only a supervisor keeps the early signal handlers", async () => {
    expect((await call(["own"])).defaulted).toBe(0);
    expect((await call(["ok"])).defaulted).toBe(1);
  });

  test("help is standard output and 0", async () => {
    for (const words of [["--help"], ["-h"]]) {
      const seen = await call(words);
      expect(seen).toMatchObject({ code: 0, err: "" });
      expect(seen.out).toContain("Does echo.");
      expect(seen.out).not.toContain("hidden");
    }
    const one = await call(["invalid", "--help"]);
    expect(one).toMatchObject({ code: 0, err: "" });
    expect(one.out).toContain("--level NUMBER");
    expect(one.out).toContain("[SCOPE:]LEVEL");
  });
});

describe("the real table", () => {
  test("every command can be loaded and has a help page that names every visible flag", async () => {
    for (const one of commands) {
      expect(typeof (await one.load()).run).toBe("function");
      const page = await call([one.name, "--help"], commands);
      expect(page.code).toBe(0);
      for (const option of one.options) if (option.hidden !== true) expect(page.out).toContain(`--${option.name}`);
    }
  });

  test("names and flags are unique, summaries are sentences", () => {
    const names = commands.flatMap((one) => [one.name, ...(one.aliases ?? [])]);
    expect(new Set(names).size).toBe(names.length);
    for (const one of commands) {
      const flags = one.options.map((option) => option.name);
      const letters = one.options.flatMap((option) => option.short ?? []);
      expect(new Set(flags).size, one.name).toBe(flags.length);
      expect(new Set(letters).size, one.name).toBe(letters.length);
      expect(one.summary).toMatch(/^[A-Z].*\.$/);
      for (const option of one.options) expect(option.summary, option.name).toMatch(/[.?)]$/);
    }
  });

  test("help COMMAND prints the same page as COMMAND --help", async () => {
    for (const one of commands.slice(0, 3)) {
      expect((await call(["help", one.name], commands)).out).toBe((await call([one.name, "--help"], commands)).out);
    }
    expect((await call(["help", "prxy"], commands)).err).toContain('did you mean "proxy"?');
  });
});
