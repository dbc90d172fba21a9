import { describeError, Refused } from "../foundation/errors.ts";
import { replaceXt, type Undo } from "./apply-xtables.ts";
import type { RunOptions } from "./capture-options.ts";
import { type Chosen, chooseEngine } from "./choose-engine.ts";
import { type Finding, findDrift } from "./drift.ts";
import { type KernelState, ownTable, peerTables, readKernel, xtHasOurs, xtVariants } from "./kernel-state.ts";
import { callIp, type RouteState, type RouteStep, readRoutes, routesToAdd, routesToRemove } from "./mark-route.ts";
import { nftScript, nftTable } from "./nft-script.ts";
import { emptyPlan, type Plan } from "./rules.ts";
import { failure, succeeded, type World } from "./world.ts";

export interface Applied extends Chosen {
  /** false: everything was as it should be, nothing was touched. */
  readonly changed: boolean;
}

/**
 * Brings the kernel from whatever it has to the plan. At every instant between, what both states capture is captured:
 * the new comes before the old goes, and each table changes at once. When a step fails, all steps before it are taken
 * back from what was read at the start; the error says so.
 */
export async function applyPlan(
  plan: Plan,
  run: Pick<RunOptions, "engine" | "forceApply">,
  world: World,
): Promise<Applied> {
  const [state, routes] = await Promise.all([readKernel(world), readRoutes(world)]);
  const chosen = await chooseEngine(run.engine, plan, state, world);
  const before = findDrift(plan, state, routes, chosen.engine);
  if (!before.some(isOurs) && !run.forceApply) return { ...chosen, changed: false };
  const undo: Undo[] = [];
  try {
    await change(plan, chosen, state, routes, world, undo);
    await verify(plan, chosen, world);
  } catch (error) {
    throw new Refused(`${describeError(error)}; ${await takeBack(undo)}`, { cause: error });
  }
  return { ...chosen, changed: true };
}

/** What stands before our rules in a chain of the kernel is repaired by putting ours first again; nft tables of others are not. */
const isOurs = (finding: Finding): boolean => finding.kind !== "foreign" || finding.repairable === true;

async function change(
  plan: Plan,
  chosen: Chosen,
  state: KernelState,
  routes: RouteState,
  world: World,
  undo: Undo[],
): Promise<void> {
  await changeRoutes(routesToAdd(plan, routes), world, undo);
  const { engine } = chosen;
  if (engine === "native") undo.push(await replaceNative(plan, state, world));
  else undo.push(await replaceXt(plan, state, engine, world));
  for (const variant of xtVariants)
    if (variant !== engine && xtHasOurs(state, variant)) undo.push(await replaceXt(emptyPlan, state, variant, world));
  if (engine !== "native" && (ownTable(state) || peerTables(state).length > 0))
    undo.push(await replaceNative(emptyPlan, state, world));
  await changeRoutes(routesToRemove(plan, routes), world, undo);
}

async function changeRoutes(steps: readonly RouteStep[], world: World, undo: Undo[]): Promise<void> {
  for (const step of steps) {
    await callIp(world, step.args);
    undo.push(() => callIp(world, step.undo));
  }
}

/** One transaction: our old table goes, Istio's own go, the new one comes. */
async function replaceNative(plan: Plan, state: KernelState, world: World): Promise<Undo> {
  const peers = peerTables(state);
  const peerTexts = await Promise.all(peers.map((name) => listTable(name, world)));
  await loadNft(nftScript(plan.rules, peers), world);
  const old = [state.nativeText ?? "", ...peerTexts].join("\n");
  return () => loadNft(`add table inet ${nftTable}\ndelete table inet ${nftTable}\n${old}`, world);
}

async function listTable(name: string, world: World): Promise<string> {
  const listed = await world.run("nft", ["-s", "list", "table", "inet", name]);
  if (!succeeded(listed)) throw new Refused(`cannot read table inet ${name}: ${failure(listed)}`);
  return listed.stdout;
}

async function loadNft(script: string, world: World): Promise<void> {
  const loaded = await world.run("nft", ["-f", "-"], script);
  if (!succeeded(loaded)) throw new Refused(`cannot load rules by nft: ${failure(loaded)}`);
}

/** Reads everything back and compares rule by rule, in order. */
async function verify(plan: Plan, chosen: Chosen, world: World): Promise<void> {
  const [state, routes] = await Promise.all([readKernel(world), readRoutes(world)]);
  const wrong = findDrift(plan, state, routes, chosen.engine).filter(isOurs);
  const [first] = wrong;
  if (first !== undefined)
    throw new Refused(
      `cannot confirm the rules: read back, ${wrong.length} differ, first: ${first.kind}: ${first.text}`,
    );
}

async function takeBack(undo: readonly Undo[]): Promise<string> {
  const failed: string[] = [];
  for (const step of undo.toReversed()) {
    try {
      await step();
    } catch (error) {
      failed.push(describeError(error));
    }
  }
  return failed.length === 0 ? "the kernel is as before" : `and not all could be taken back: ${failed.join("; ")}`;
}

/** Removes all that is ours, in every engine, whatever the options were. Others' rules stay as they are. */
export async function removeOurs(world: World): Promise<boolean> {
  const [state, routes] = await Promise.all([readKernel(world), readRoutes(world)]);
  const undo: Undo[] = [];
  const had =
    ownTable(state) !== undefined || peerTables(state).length > 0 || xtVariants.some((one) => xtHasOurs(state, one));
  const chosen: Chosen = { engine: "native", because: "" };
  try {
    if (ownTable(state) || peerTables(state).length > 0) undo.push(await replaceNative(emptyPlan, state, world));
    for (const variant of xtVariants)
      if (xtHasOurs(state, variant)) undo.push(await replaceXt(emptyPlan, state, variant, world));
    await changeRoutes(routesToRemove(emptyPlan, routes), world, undo);
    await verify(emptyPlan, chosen, world);
  } catch (error) {
    throw new Refused(`${describeError(error)}; ${await takeBack(undo)}`, { cause: error });
  }
  return had || routesToRemove(emptyPlan, routes).length > 0;
}
