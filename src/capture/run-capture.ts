import { applyPlan, removeOurs } from "./apply.ts";
import type { AllOptions, Engine } from "./capture-options.ts";
import { engineWords, type Finding, findDrift } from "./drift.ts";
import { explainPlan, planFacts } from "./explain.ts";
import { enginesWithOurs, readKernel } from "./kernel-state.ts";
import { emptyRoutes, readRoutes, routesToAdd, routesToRemove } from "./mark-route.ts";
import { nftScript } from "./nft-script.ts";
import { readFacts } from "./read-facts.ts";
import { restoreText } from "./restore-text.ts";
import { emptyPlan, type Plan, planCapture } from "./rules.ts";
import { requireCapability, type World } from "./world.ts";

/** Where the command speaks: results on `out`, remarks on `err`. */
export interface Speech {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** `wrong`: the rules are not as they should be (--check, --run-validation). */
export type Outcome = "done" | "wrong";

/** The command behind its flags. Throws Refused when it could not do its work; the kernel is then as before. */
export async function runCapture(options: AllOptions, world: World, speech: Speech): Promise<Outcome> {
  const { capture, run } = options;
  const plan = planCapture(capture, await readFacts(world));
  for (const notice of options.notices) speech.err(`capture: note: ${notice}\n`);
  if (run.explain) return printed(explainPlan(plan), speech);
  if (run.dryRun) return printed(run.cleanupOnly ? await cleanupText(world) : dryRunText(plan, options, world), speech);
  if (run.check || run.cleanupOnly || !run.skipApply) requireCapability(world, "NET_ADMIN");
  if (run.check) return checkDrift(plan, run.engine, world, speech);
  if (run.cleanupOnly) {
    const removed = await removeOurs(world);
    return printed(
      removed ? "capture: all rules of ours are removed\n" : "capture: there was nothing to remove\n",
      speech,
    );
  }
  if (!run.skipApply) await apply(plan, options, world, speech);
  if (!run.validate) return "done";
  const { validateCapture } = await import("./validation.ts");
  return validateCapture(plan, options, world, speech);
}

function printed(text: string, speech: Speech): Outcome {
  speech.out(text);
  return "done";
}

async function apply(plan: Plan, options: AllOptions, world: World, speech: Speech): Promise<void> {
  const applied = await applyPlan(plan, options.run, world);
  for (const fact of planFacts(plan)) speech.out(`capture: ${fact}\n`);
  const how = `${plan.rules.length} rules by ${engineWords[applied.engine]} (${applied.because})`;
  speech.out(
    applied.changed
      ? `capture: loaded ${how}, read back in order\n`
      : `capture: nothing to do: ${how} are as they should be\n`,
  );
}

/** What would be loaded, in the words of the engine that would be chosen; looks at nothing but PATH. */
function dryRunText(plan: Plan, options: AllOptions, world: World): string {
  const { run } = options;
  const native = !run.restoreFormat && (run.engine ?? (world.has("nft") ? "native" : "nft")) === "native";
  const body = native
    ? `${comment("nft -f -")}${nftScript(plan.rules)}`
    : (["v4", "v6"] as const)
        .map((family) => ({ family, text: restoreText(plan.rules, family) }))
        .filter(({ text }) => text !== "")
        .map(({ family, text }) => `${comment(`ip${family === "v6" ? "6" : ""}tables-restore --noflush`)}${text}`)
        .join("");
  const steps = routesToAdd(plan, emptyRoutes).map((step) => comment(`ip ${step.args.join(" ")}`));
  return [...planFacts(plan).map(comment), ...steps, body].join("");
}

const comment = (text: string): string => `# ${text}\n`;

async function cleanupText(world: World): Promise<string> {
  const [state, routes] = await Promise.all([readKernel(world), readRoutes(world)]);
  const engines = enginesWithOurs(state).map((one) => comment(`would remove what is loaded by ${engineWords[one]}`));
  const steps = routesToRemove(emptyPlan, routes).map((step) => comment(`ip ${step.args.join(" ")}`));
  return [...engines, ...steps].join("") || comment("there is nothing to remove");
}

async function checkDrift(plan: Plan, asked: Engine | undefined, world: World, speech: Speech): Promise<Outcome> {
  const [state, routes] = await Promise.all([readKernel(world), readRoutes(world)]);
  const engine = asked ?? enginesWithOurs(state)[0] ?? "native";
  const findings = findDrift(plan, state, routes, engine);
  for (const finding of findings) speech.out(findingText(finding));
  if (findings.length > 0) return "wrong";
  return printed(`capture: ${plan.rules.length} rules by ${engineWords[engine]} are as they should be\n`, speech);
}

const findingText = (finding: Finding): string => `capture: ${finding.kind}: ${finding.text}\n`;
