import { afterAll, describe, test } from "vitest";
import { engines } from "../helpers/capture-loads.ts";
import { failuresLeaveNoTrace, peersRulesAreTakenOver, removalIsClean } from "../helpers/capture-removal.ts";
import { variants } from "../helpers/capture-transitions.ts";
import type { Namespace } from "../helpers/network-namespaces.ts";

/** T6 in full: every state and every engine; every step that can fail. */
const made: Namespace[] = [];
afterAll(() => {
  for (const one of made) one.done();
});

describe.each(engines)("by %s", (engine) => {
  test("removal leaves others' rules and nothing of ours, whatever the options say", () =>
    removalIsClean(engine, Object.keys(variants), made));
  test("whichever step fails, the kernel is as before", () => failuresLeaveNoTrace(engine, made));
  test("rules that Istio's own tool made are taken over", () => peersRulesAreTakenOver(engine, made));
});
