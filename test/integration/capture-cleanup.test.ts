import { afterAll, test } from "vitest";
import { failuresLeaveNoTrace, peersRulesAreTakenOver, removalIsClean } from "../helpers/capture-removal.ts";
import type { Namespace } from "../helpers/network-namespaces.ts";

/** T6: removal by wrong options too; others' rules stay. And: a failure leaves the kernel as it was. (All of it: test/faults.) */
const made: Namespace[] = [];
afterAll(() => {
  for (const one of made) one.done();
});

test.concurrent.each([
  ["native", "mark"],
  ["nft", "dns"],
  ["legacy", "mark"],
] as const)("by %s, from %s: removal leaves others' rules and nothing of ours", (engine, variant) =>
  removalIsClean(engine, [variant], made),
);

test.concurrent("whichever step fails, the kernel is as before", () => failuresLeaveNoTrace("native", made));

test.concurrent("rules that Istio's own tool made are taken over", () => peersRulesAreTakenOver("native", made));
