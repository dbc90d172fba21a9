import { FlagReader } from "../config/flag-reader.ts";
import { Problems } from "../foundation/problems.ts";
import { machine, nodeVersion } from "../system/command-line.ts";
import { buildInfo } from "./build-info.ts";
import type { Call } from "./command.ts";

/** `version`. */
export async function run(call: Call): Promise<number> {
  await Promise.resolve();
  const problems = new Problems();
  const flags = new FlagReader(call.flags.values, problems);
  const output = flags.oneOf("output", ["json", "yaml"]);
  const short = flags.boolean("short") ?? false;
  problems.throwIfAny("cannot print the version");
  const facts = { ...buildInfo(), node: nodeVersion(), platform: machine() };
  if (short) call.out(`${facts.version}\n`);
  else if (output === "json") call.out(`${JSON.stringify(facts, undefined, 2)}\n`);
  else if (output === "yaml") call.out(lines(facts, ": "));
  else call.out(`pilotfish ${facts.version} (${facts.commit}), Node ${facts.node}, ${facts.platform}\n`);
  return 0;
}

const lines = (facts: Readonly<Record<string, string>>, between: string): string =>
  Object.entries(facts)
    .map(([name, value]) => `${name}${between}${JSON.stringify(value)}\n`)
    .join("");
