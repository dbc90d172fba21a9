import { Refused } from "../foundation/errors.ts";
import type { Family } from "./cidr.ts";
import { families, type KernelState, type XtVariant, xtProgram } from "./kernel-state.ts";
import type { Table } from "./model.ts";
import { oursOf } from "./read-xtables.ts";
import { isEmptyText, tableChange, tableText } from "./restore-text.ts";
import type { Plan } from "./rules.ts";
import { failure, succeeded, type World } from "./world.ts";

/** One table's change of one family, and the change that takes it back. */
interface Change {
  readonly family: Family;
  readonly table: Table;
  readonly text: string;
  readonly undo: string;
}

export type Undo = () => Promise<void>;

/**
 * Each COMMIT is one instant of one table, and a connection must be caught at every instant between two of them. So
 * the table into which inbound capture moves comes before the one that it leaves; tables that the plan does not use
 * at all are emptied last.
 */
function orderOf(plan: Plan): readonly Table[] {
  return plan.route === undefined ? ["raw", "filter", "nat", "mangle"] : ["raw", "filter", "mangle", "nat"];
}

function changesOf(plan: Plan, state: KernelState, variant: XtVariant): readonly Change[] {
  const all = families.flatMap((family) =>
    orderOf(plan).map((table) => {
      const before = oursOf(state.xt[variant][family].get(table));
      const after = tableText(plan.rules, table, family);
      return { family, table, before, after };
    }),
  );
  const touched = all.filter(({ before, after }) => !(isEmptyText(before) && isEmptyText(after)));
  const filled = touched.filter(({ after }) => !isEmptyText(after));
  const emptied = touched.filter(({ after }) => isEmptyText(after));
  return [...filled, ...emptied].map(({ family, table, before, after }) => ({
    family,
    table,
    text: tableChange(table, before, after),
    undo: tableChange(table, after, before),
  }));
}

/** Tests all of it first, then loads table by table; after a failure what was loaded is taken back. */
export async function replaceXt(plan: Plan, state: KernelState, variant: XtVariant, world: World): Promise<Undo> {
  const changes = changesOf(plan, state, variant);
  for (const change of changes) await restore(world, variant, change.family, change.text, ["--test"]);
  const done: Change[] = [];
  const undo: Undo = async () => {
    for (const change of done.toReversed()) await restore(world, variant, change.family, change.undo, []);
  };
  try {
    for (const change of changes) {
      await restore(world, variant, change.family, change.text, []);
      done.push(change);
    }
  } catch (error) {
    await undo();
    throw error;
  }
  return undo;
}

async function restore(
  world: World,
  variant: XtVariant,
  family: Family,
  text: string,
  more: readonly string[],
): Promise<void> {
  const program = xtProgram(variant, family, "restore");
  const loaded = await world.run(program, ["--noflush", "--wait=30", ...more], text);
  if (!succeeded(loaded)) throw new Refused(`cannot load rules by ${program}: ${failure(loaded)}`);
}
