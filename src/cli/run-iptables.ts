import { readNames } from "../capture/read-facts.ts";
import { readOptions } from "../capture/read-options.ts";
import { runCapture } from "../capture/run-capture.ts";
import type { Settings } from "../capture/value-readers.ts";
import { realWorld } from "../capture/world.ts";
import { Refused } from "../foundation/errors.ts";
import { runSelfInNetworkNamespace } from "../system/network-namespace.ts";
import { CannotStartProgram } from "../system/programs.ts";
import type { Call } from "./command.ts";
import { iptablesOptions } from "./commands/iptables-options.ts";
import { exitCodes } from "./exit-codes.ts";

/** Flag, else environment; an empty variable counts as not set, as for Istio's own tool. */
export function settingsOf(call: Pick<Call, "flags" | "env">): Settings {
  const variables = new Map(iptablesOptions.map((option) => [option.name, option.env ?? ""]));
  return (name) => {
    const given = call.flags.values.get(name)?.at(-1);
    if (given !== undefined) return given;
    const value = call.env.get(variables.get(name) ?? "");
    // A Service named "envoy" makes Kubernetes set ENVOY_PORT=tcp://…: not meant for us.
    return value === undefined || value === "" || /^[a-z]+:\/\//.test(value) ? undefined : value;
  };
}

export async function run(call: Call): Promise<number> {
  const world = realWorld();
  const options = readOptions(settingsOf(call), readNames(world));
  const { networkNamespace } = options.run;
  if (networkNamespace !== undefined) return elsewhere(networkNamespace, call);
  const outcome = await runCapture(options, world, call);
  return outcome === "done" ? exitCodes.ok : exitCodes.validation;
}

/** The same call again, inside the other namespace. */
async function elsewhere(path: string, call: Call): Promise<number> {
  const env = new Map(call.env);
  env.delete("NETWORK_NAMESPACE");
  const flags = [...call.flags.values]
    .filter(([name]) => name !== "network-namespace")
    .flatMap(([name, values]) => values.map((value) => `--${name}=${value}`));
  try {
    return await runSelfInNetworkNamespace(path, ["iptables", ...flags], env);
  } catch (error) {
    if (error instanceof CannotStartProgram)
      throw new Refused(`cannot enter ${path}: nsenter is missing; install util-linux`, { cause: error });
    throw error;
  }
}
