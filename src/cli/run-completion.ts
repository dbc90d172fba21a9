import { InvalidConfig } from "../foundation/errors.ts";
import type { Call } from "./command.ts";
import { commands } from "./commands.ts";
import { completionScripts } from "./completion-scripts.ts";

/** `completion SHELL`. */
export async function run(call: Call): Promise<number> {
  await Promise.resolve();
  const [shell = ""] = call.flags.positionals;
  const known = Object.keys(completionScripts);
  if (!isShell(shell)) {
    const text = `"${shell}" is no shell that is known here; use one of ${known.join(", ")}`;
    throw new InvalidConfig([{ name: "completion", text }], "cannot print a completion script");
  }
  call.out(completionScripts[shell](commands));
  return 0;
}

const isShell = (name: string): name is keyof typeof completionScripts => Object.hasOwn(completionScripts, name);
