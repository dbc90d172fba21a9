import type { AllOptions } from "../../src/capture/capture-options.ts";
import { type Outcome, runCapture } from "../../src/capture/run-capture.ts";
import type { World } from "../../src/capture/world.ts";
import { type OptionSet, optionsOf } from "../capture/option-sets.ts";
import type { Namespace } from "./network-namespaces.ts";

export interface Called {
  readonly outcome: Outcome;
  readonly text: string;
}

/** Runs the command's core inside a namespace, without the cost of a new process. */
export async function capture(
  namespace: Namespace,
  options: AllOptions,
  run: Partial<AllOptions["run"]> = {},
  world: World = namespace.world,
): Promise<Called> {
  const said: string[] = [];
  const speech = { out: (text: string) => void said.push(text), err: (text: string) => void said.push(text) };
  const outcome = await runCapture({ ...options, run: { ...options.run, ...run } }, world, speech);
  return { outcome, text: said.join("") };
}

/** The seed's options with others replaced, by long names. */
export const seedOptions = (more: Readonly<Record<string, string>> = {}): AllOptions => optionsOf(seedSet, more);

export const seedSet: OptionSet = {
  title: "seed",
  settings: {
    "istio-service-cidr": "*",
    "istio-inbound-ports": "*",
    "istio-local-exclude-ports": "15090,15020",
    "proxy-uid": "1337",
  },
};
