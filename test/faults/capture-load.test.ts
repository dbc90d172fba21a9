import { afterAll, describe, test } from "vitest";
import { optionSets } from "../capture/option-sets.ts";
import { engines, kindsOf, loadsAll } from "../helpers/capture-loads.ts";
import type { Namespace } from "../helpers/network-namespaces.ts";

/** T2 in full: every option set by every engine. */
const made: Namespace[] = [];
afterAll(() => {
  for (const one of made) one.done();
});

describe.each(engines)("every option set loads by %s", (engine) => {
  test.each(kindsOf(optionSets))("in a pod of kind %s", (kind) => loadsAll(optionSets, kind, engine, made));
});
