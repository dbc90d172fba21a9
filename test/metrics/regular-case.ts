import type { Form } from "../../src/metrics/exposition.ts";
import { type LineRoom, takeRoom } from "../../src/metrics/line-runs/line-room.ts";
import { pageLimits } from "../../src/metrics/page.ts";
import { Chance } from "./generated-pages.ts";
import { type Manner, type Merged, mergePages } from "./merge-pages.ts";
import { regularSources } from "./regular-pages.ts";
import { strictPage } from "./strict-page.ts";

/** Everything that a merge says, to be compared. */
const said = ({ page, causes, tallies }: Merged): string =>
  JSON.stringify({
    page,
    causes,
    tallies: tallies.map(({ samples, families, dropped, droppedFamilies }) => [
      samples,
      families,
      [...dropped],
      [...droppedFamilies],
    ]),
  });

/** A room without its fast runs, as on a machine without WebAssembly. */
const slow: LineRoom = { bytes: Buffer.alloc(takeRoom().bytes.length), runs: undefined };

/** What is wrong with the merge of this seed's regular pages: nothing, for every seed. */
export function regularProblems(seed: number): readonly string[] {
  const chance = new Chance(seed);
  const sources = regularSources(chance);
  const form = chance.of<Form>(["text", "openmetrics"]);
  const small = { family: chance.int(3_000), held: chance.int(9_000), families: 1_000 };
  const limits = chance.yes(0.5) ? pageLimits : small;
  const merge = (manner: Manner): Merged => mergePages(sources, form, "underscores", limits, manner);
  const whole = merge({ pieces: [1_000_000] });
  const pieces = Array.from({ length: 3 }, () => 1 + chance.int(chance.of([20, 700, 20_000])));
  return [
    ...strictPage(whole.page, form),
    ...(said(merge({ room: () => slow })) === said(whole) ? [] : ["without the runs it is another page"]),
    ...(said(merge({ pieces })) === said(whole) ? [] : [`in pieces of ${pieces.join(", ")} it is another page`]),
  ];
}
