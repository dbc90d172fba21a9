import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { World } from "./lifecycle-world.ts";

/*
 * Random lives of the machine in a small world (lifecycle-world.ts), held to its laws (lifecycle-laws.ts) after every
 * event. A life that breaks one is told event by event, with fast-check's seed and path; put these into fc.assert's
 * second argument to see it again.
 */

const RUNS = 10_000;
const choices = fc.array(fc.nat(1_000_000), { minLength: 5, maxLength: 120, size: "max" });

/** A life as the numbers say, event by event, until they are used up. */
function live(numbers: readonly number[]): World {
  let next = 0;
  const world = new World((n) => (numbers[next++] ?? 0) % n);
  while (next < numbers.length && world.state.is !== "gone") world.happen();
  return world;
}

/** Goes on until `done`, at most so many steps. */
function goOn(world: World, done: () => boolean, turn: () => void): void {
  for (let turns = 0; turns < 300 && !done(); turns++) turn();
  if (!done()) world.fail(`no end after 300 turns, in ${world.state.is}`);
}

const someone = (world: World, wanted: "dying" | "starting" | "any") =>
  [...world.procs.values()].find((one) => {
    if (one.stuck) return false;
    if (wanted === "any") return true;
    return wanted === "dying" ? one.told !== "" : !one.live && one.watched && one.told === "";
  });

const resting = ({ state }: World): boolean =>
  state.is === "gone" ||
  (state.is === "live" && state.retry === undefined) ||
  (state.is === "draining" && state.stop === undefined);

describe("whatever happens", () => {
  test("when all goes well from then on, it serves, drains as asked, or has ended", () => {
    fc.assert(
      fc.property(choices, (numbers) => {
        const world = live(numbers);
        world.calm("free");
        goOn(
          world,
          () => resting(world),
          () => {
            const [dying, starting] = [someone(world, "dying"), someone(world, "starting")];
            if (dying !== undefined) world.die(dying, { how: "exited", code: 0 });
            else if (starting !== undefined) world.goLive(starting);
            else if (world.questions.length > 0) world.reply();
            else world.tick();
          },
        );
        expect(world.open.size).toBe(0);
      }),
      { numRuns: RUNS },
    );
  });

  test("when every Envoy dies from then on, it ends and says so", () => {
    fc.assert(
      fc.property(choices, (numbers) => {
        const world = live(numbers);
        world.calm("free");
        goOn(
          world,
          () => world.state.is === "gone",
          () => {
            const one = someone(world, "any");
            if (one !== undefined) world.die(one);
            else if (!world.tick()) world.reply();
          },
        );
      }),
      { numRuns: RUNS },
    );
  });

  test("a stop ends it although nobody says a word", () => {
    fc.assert(
      fc.property(choices, fc.boolean(), (numbers, drain) => {
        const world = live(numbers);
        world.calm("hanging");
        world.stop("the last one", drain);
        goOn(
          world,
          () => world.state.is === "gone",
          () => {
            const killed = [...world.procs.values()].find((one) => one.told === "SIGKILL" && !one.stuck);
            if (killed === undefined) world.tick();
            else world.die(killed, { how: "killed", signal: "SIGKILL" });
          },
        );
      }),
      { numRuns: RUNS },
    );
  });
});
