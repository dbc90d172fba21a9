import type { Call } from "./command.ts";
import { commandNamed, commands } from "./commands.ts";
import { commandHelp, programHelp } from "./help-text.ts";

/** `help [COMMAND]`. */
export async function run(call: Call): Promise<number> {
  const name = call.flags.positionals[0];
  await Promise.resolve();
  call.out(name === undefined ? programHelp(commands) : commandHelp(commandNamed(commands, name)));
  return 0;
}
