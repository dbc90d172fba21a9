import { test } from "vitest";
import type { Restarts } from "./restarts.ts";

/**
 * A test that may run beside others of its file: `keep` takes what it started, and that is ended with it. A restart
 * waits most of its time for the old Envoy's end, so several go on at once. Use the context's `expect`.
 */
export const rigTest = test.extend<{ readonly keep: (rig: Pick<Restarts, "done">) => void }>({
  // vitest reads the names of other fixtures from the pattern; this one needs none.
  keep: async ({ task: _task }, use) => {
    const rigs: Pick<Restarts, "done">[] = [];
    await use((rig) => void rigs.push(rig));
    for (const rig of rigs.toReversed()) await rig.done();
  },
}).concurrent;
