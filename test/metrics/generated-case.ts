import type { Escaping, Form } from "../../src/metrics/exposition.ts";
import { type PageLimits, pageLimits } from "../../src/metrics/page.ts";
import { Chance, generatedSources, type Temper } from "./generated-pages.ts";
import { type Given, type Merged, mergePages } from "./merge-pages.ts";
import { sampleCount, strictPage } from "./strict-page.ts";

export interface GeneratedCase {
  readonly seed: number;
  readonly temper: Temper;
  readonly sources: readonly Given[];
  readonly form: Form;
  readonly escaping: Escaping;
  readonly merged: Merged;
  readonly limits: PageLimits;
}

export function generatedCase(seed: number): GeneratedCase {
  const chance = new Chance(seed);
  const temper = chance.of<Temper>(["valid", "colliding", "hostile"]);
  const sources = generatedSources(chance, temper);
  const form = chance.of<Form>(["text", "openmetrics"]);
  const escaping = chance.of<Escaping>(["underscores", "allow-utf-8"]);
  // Small limits now and then, so that families overflow, and joins too.
  const limits = chance.yes(0.5) ? pageLimits : { family: chance.int(600), held: chance.int(3_000), families: 1_000 };
  const merged = mergePages(sources, form, escaping, limits);
  return { seed, temper, sources, form, escaping, merged, limits };
}

/** What is wrong with this case, as texts: nothing, for every seed. */
export function problemsOf(one: GeneratedCase): readonly string[] {
  const { merged, sources, form, temper } = one;
  const { page, tallies } = merged;
  const said = tallies.reduce((sum, { samples }) => sum + samples, 0);
  const given = sources.reduce((sum, { page: source }) => sum + source.length, 0);
  const wrong = [...strictPage(page, form)];
  if (said !== sampleCount(page)) wrong.push(`${said} samples are told, ${sampleCount(page)} are there`);
  // Headings come beside each sample at worst.
  if (page.length > 1_000 + given * 20) wrong.push(`${given} bytes became ${page.length}`);
  if (temper === "valid") wrong.push(...lost(one));
  if (one.seed % 3 === 0) wrong.push(...otherInOnePiece(one));
  return wrong;
}

/** Names are all different: nothing may be lost but what has no room. */
function lost({ sources, merged }: GeneratedCase): readonly string[] {
  const given = sources.reduce((sum, { page }) => sum + sampleCount(page.toString()), 0);
  const said = merged.tallies.reduce((sum, { samples }) => sum + samples, 0);
  const excuses = new Set(merged.tallies.flatMap(({ dropped }) => [...dropped.keys()]));
  return given === said ? [] : [`${given - said} samples are lost: ${[...excuses].join(", ")}`];
}

/** What goes out depends on the pages alone, not on how they came. */
function otherInOnePiece({ sources, form, escaping, limits, merged }: GeneratedCase): readonly string[] {
  const { page } = mergePages(sources, form, escaping, limits, { pieces: [100_000] });
  return page === merged.page ? [] : ["in one piece it is another page"];
}
