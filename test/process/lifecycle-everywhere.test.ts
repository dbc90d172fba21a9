import { describe, expect, test } from "vitest";
import { type LifecycleState, step } from "../../src/process/lifecycle.ts";
import { limits } from "./lifecycle-world.ts";
import { initializing, overlapping, Story, serving, swapping } from "./story.ts";

/** A story that has come to each state; run 1 is the first Envoy. */
const at: Readonly<Record<LifecycleState["is"], () => Story>> = {
  starting: () => new Story(),
  live: serving,
  checking: () => serving().wish(),
  initializing,
  cancelling: () => initializing().timer(2, "live", 10_000),
  mending: () => initializing().exited(2, 1),
  overlap: overlapping,
  waiting: () => serving().exited(1).exited(2),
  trial: swapping,
  yielding: () => swapping().live(2).timer(2, "probation", 5_000),
  draining: () => serving().stop(),
  stopping: () => serving().stop(false),
  gone: () => serving().exited(1, 0),
};
const states = Object.keys(at) as LifecycleState["is"][];
const only = (...wanted: readonly LifecycleState["is"][]) => states.filter((one) => wanted.includes(one));
const others = (...left: readonly LifecycleState["is"][]) => states.filter((one) => !left.includes(one));

test.each(states)("there is a way to %s", (is) => {
  expect(at[is]().state.is).toBe(is);
});

describe("a wish for a restart", () => {
  test.each(others("live", "draining", "stopping", "gone"))("waits in %s", (is) => {
    const story = at[is]().wish({ ids: [77] });
    expect(story.state).toMatchObject({ is, ledger: { queue: { ids: [77] } } });
    expect(story.did).toEqual([]);
  });
  test.each(only("draining", "stopping", "gone"))("comes too late in %s", (is) => {
    const story = at[is]().wish({ ids: [77] });
    expect([story.state.is, story.did]).toEqual([is, ["answer 77 overtaken"]]);
  });
});

describe("a stop with a drain", () => {
  const ends = (is: LifecycleState["is"]) =>
    at[is]()
      .wish({ ids: [77] })
      .stop(true, "the stop");
  test.each(only("live", "checking", "mending", "overlap", "trial", "yielding"))(
    "drains whoever serves in %s",
    (is) => {
      const story = is === "live" ? serving().stop(true, "the stop") : ends(is);
      expect(story.state).toMatchObject({ is: "draining", stop: { reason: "the stop", drain: true } });
      expect(story.did.some((one) => one.startsWith("drain-listeners"))).toBe(true);
      if (is !== "live") expect(story.did).toContain("answer 77 overtaken");
    },
  );
  test.each([
    ["goes on with what is left to do", 3, 10],
    ["is over when nobody is left", 0, 100_000],
  ])("then a stop %s, and says both times that it goes on", (_, active, later) => {
    const story = serving().tell({ on: "drain", reason: "POST /drain" });
    story.tell({ on: "connections", run: 1, seen: { active, calledLately: false } });
    const { next, effects } = step(
      story.state,
      { on: "stop", reason: "SIGTERM", drain: true },
      story.at + later,
      limits,
    );
    expect(next.is).toBe(active === 0 ? "stopping" : "draining");
    expect(effects[0]).toMatchObject({ run: "tell", text: "Stopping after the drain" });
    expect(effects.some((one) => one.run === "arm" && one.timer === "drain-end")).toBe(active !== 0);
  });
  test("of a child that is being killed waits for its end", () => {
    const story = ends("cancelling");
    expect(story.did).toEqual(["answer 1 overtaken", "answer 77 overtaken"]);
    expect(story.exited(2, "SIGKILL").state).toMatchObject({ is: "draining", stop: { reason: "the stop" } });
  });
  test("is over at once when nobody is there, and what is kept is let go", () => {
    const story = at.waiting().stop(true, "the stop");
    expect(story.outcome).toMatchObject({ how: "stopped", reason: "the stop", forced: false });
    expect(story.did).toContain("drop-sockets");
  });
  test("of two that share nothing tells both", () => {
    const story = ends("yielding").timer(2, "drain-end", 5_000);
    expect(story.did).toContain("signal 1 SIGTERM");
    expect(story.did).toContain("signal 2 SIGTERM");
  });
});

describe("POST /drain", () => {
  const drained = (is: LifecycleState["is"]) =>
    at[is]()
      .wish({ ids: [77] })
      .tell({ on: "drain", reason: "POST /drain" });
  test.each(only("checking", "mending", "overlap", "trial", "yielding"))("drains whoever serves in %s", (is) => {
    const story = drained(is);
    expect(story.state).toMatchObject({ is: "draining", stop: undefined, ledger: { queue: undefined } });
    expect(story.did).toContain("answer 77 overtaken");
  });
  test("of a child that is being killed waits for its end", () => {
    const story = drained("cancelling");
    expect(story.did).toEqual(["answer 1 overtaken", "answer 77 overtaken"]);
    expect(story.exited(2, "SIGKILL").state).toMatchObject({ is: "draining", stop: undefined });
  });
  test("before anybody serves is remembered", () => {
    const first = drained("starting");
    expect(first.did).toEqual(["answer 77 overtaken"]);
    expect(first.live(1).state).toMatchObject({ is: "draining", stop: undefined });
    const again = drained("waiting").timer(2, "backoff", 200);
    expect(again.live(3).state).toMatchObject({ is: "draining", stop: undefined });
  });
});

describe("somebody dies", () => {
  test("the parent of a child that is dead: a new one, and the wish stays", () => {
    const story = at.mending().exited(1, "SIGKILL", 2);
    expect(story.state).toMatchObject({ is: "starting", over: "kept-sockets", ledger: { queue: { ids: [1] } } });
  });
  test("an older one while the next start waits: nobody is left of before", () => {
    // The newest dies in the overlap, and whoever is started over the old one dies at once.
    const story = overlapping().exited(2, "SIGSEGV", 0, 60_000).exited(3);
    expect(story.state).toMatchObject({ is: "waiting", older: { run: 1 }, plan: { over: "parent" } });
    story.exited(1, 0);
    expect(story.state).toMatchObject({ is: "waiting", older: undefined });
    expect(story.timer(3, "backoff", 200).did[0]).toBe("start 4 over nobody, proven");
  });
});
