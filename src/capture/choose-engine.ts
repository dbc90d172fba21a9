import { Refused } from "../foundation/errors.ts";
import type { Engine } from "./capture-options.ts";
import { engineWords } from "./drift.ts";
import { enginesWithOurs, families, type KernelState, type XtVariant, xtProgram } from "./kernel-state.ts";
import { nftScript } from "./nft-script.ts";
import type { Plan } from "./rules.ts";
import { failure, requireCapability, succeeded, type World } from "./world.ts";

export interface Chosen {
  readonly engine: Engine;
  readonly because: string;
}

/**
 * The engine that was asked for; else the one in which our rules are (they are the memory of an earlier choice); else
 * nft when it takes the rules, else iptables. Nothing is loaded to find out: `nft --check` asks the kernel and takes
 * all of it back, and the other engine's tables are not even read by name.
 */
export async function chooseEngine(
  asked: Engine | undefined,
  plan: Plan,
  state: KernelState,
  world: World,
): Promise<Chosen> {
  const chosen = await pick(asked, plan, state, world);
  if (chosen.engine === "legacy") requireCapability(world, "NET_RAW");
  return chosen;
}

async function pick(asked: Engine | undefined, plan: Plan, state: KernelState, world: World): Promise<Chosen> {
  const [there] = enginesWithOurs(state);
  const wanted = asked ?? there;
  if (wanted !== undefined) {
    const reason = await whyNot(wanted, plan, world);
    const because = asked ? "as asked" : "our rules are there already";
    if (reason === undefined) return { engine: wanted, because };
    if (asked) throw new Refused(`cannot load the rules by ${engineWords[asked]}: ${reason}`);
  }
  const reasons: string[] = [];
  for (const engine of ["native", "nft", "legacy"] as const) {
    const reason = await whyNot(engine, plan, world);
    if (reason === undefined) return { engine, because: reasons.length === 0 ? "it works here" : reasons.join("; ") };
    reasons.push(`${engineWords[engine]}: ${reason}`);
  }
  throw new Refused(`cannot load the rules: ${reasons.join("; ")}`);
}

/** Why an engine does not work here, or undefined. */
async function whyNot(engine: Engine, plan: Plan, world: World): Promise<string | undefined> {
  if (engine !== "native") return whyNotXt(engine, plan, world);
  if (!world.has("nft")) return "the program nft is missing; install nftables in the image";
  const checked = await world.run("nft", ["-c", "-f", "-"], nftScript(plan.rules));
  return succeeded(checked) ? undefined : `nft refuses the rules: ${failure(checked)}`;
}

function whyNotXt(variant: XtVariant, plan: Plan, world: World): string | undefined {
  const used = families.filter(
    (family) => plan.rules.length === 0 || plan.rules.some((rule) => rule.families.includes(family)),
  );
  const missing = used
    .flatMap((family) => (["save", "restore"] as const).map((verb) => xtProgram(variant, family, verb)))
    .filter((program) => !world.has(program));
  return missing.length === 0 ? undefined : `the program ${missing[0]} is missing; install iptables in the image`;
}
