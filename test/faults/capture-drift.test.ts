import { afterAll, test } from "vitest";
import { driftIsReported } from "../helpers/capture-drift.ts";
import { engines } from "../helpers/capture-loads.ts";
import type { Namespace } from "../helpers/network-namespaces.ts";

/** T13 by every engine. */
const made: Namespace[] = [];
afterAll(() => {
  for (const one of made) one.done();
});

test.each(engines)("drift of rules loaded by %s is reported and repaired", (engine) => driftIsReported(engine, made));
