import { expect, test } from "vitest";
import { makeScene, stateOf, transitionsHold, walkOfAllPairs } from "../helpers/capture-transitions.ts";

/** T5: from any state to any state without an open window; test/faults goes through all pairs of all states. */
test("between modes and engines no connection passes directly, and open ones stay", async () => {
  const states = [
    stateOf("redirect", "native"),
    stateOf("tproxy", "nft"),
    stateOf("mark", "legacy"),
    stateOf("dual", "native"),
  ];
  const scene = await makeScene();
  try {
    await transitionsHold(scene, walkOfAllPairs(states), 3);
  } finally {
    scene.done();
  }
});

test("the walk visits every ordered pair", () => {
  const walk = walkOfAllPairs(["a", "b", "c", "d", "e"]);
  const seen = new Set(walk.slice(1).map((to, index) => `${walk[index]}${to}`));
  for (const from of "abcde") for (const to of "abcde") expect(from === to || seen.has(from + to)).toBe(true);
});
