import { test } from "vitest";
import { engines } from "../helpers/capture-loads.ts";
import { makeScene, stateOf, transitionsHold, variants, walkOfAllPairs } from "../helpers/capture-transitions.ts";

/** T5 in full: all ordered pairs of {mode, DNS, dual stack, ports, mark} x {engine}. */
test("between all states no connection passes directly, and open ones stay", async () => {
  const states = Object.keys(variants).flatMap((variant) => engines.map((engine) => stateOf(variant, engine)));
  const scene = await makeScene();
  try {
    await transitionsHold(scene, walkOfAllPairs(states), 1);
  } finally {
    scene.done();
  }
});
