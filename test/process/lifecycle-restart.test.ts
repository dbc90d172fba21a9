import { describe, expect, test } from "vitest";
import { initializing, overlapping, Story, serving } from "./story.ts";

describe("a good hot restart", () => {
  test("from the wish to the end of the overlap", () => {
    const story = serving().wish();
    expect(story.state.is).toBe("checking");
    expect(story.did).toEqual(["check 1"]);
    story.checked(1, "hot-restart");
    expect(story.state).toMatchObject({ is: "initializing", current: { run: 1 }, child: { run: 2, epoch: 1 } });
    expect(story.did).toEqual(["start 2 over parent, prepared", "await-live 2", "arm 2 live"]);
    story.live(2);
    expect(story.state).toMatchObject({ is: "overlap", current: { run: 2 }, parent: { run: 1 } });
    expect(story.did).toEqual(["serves 2", "answer 1 restarted", "arm 2 parent-end"]);
    expect(story.effects.at(-1)).toMatchObject({ after: 20_000 });
    story.exited(1, 0, 0, 15_000);
    expect(story.state).toMatchObject({ is: "live", current: { run: 2, epoch: 1 } });
    expect(story.did).toEqual(["end-stand-in"]);
  });
  test("wishes meanwhile are answered together by one more at the end", () => {
    const story = initializing().wish().wish({ cause: "changed: bootstrap", strategy: "swap" }).live(2);
    expect(story.did).toContain("answer 1 restarted");
    story.exited(1, 0, 0, 15_000);
    expect(story.state).toMatchObject({
      is: "checking",
      restart: { ids: [2, 3], cause: "SIGHUP, changed: bootstrap", strategy: "swap" },
    });
    expect(story.did).toContain("check 2");
  });
  test("a preflight of an Envoy that has died meanwhile is nobody's", () => {
    const story = serving().wish().exited(1).checked(1, "hot-restart");
    expect(story.state).toMatchObject({ is: "starting", current: { run: 2 }, ledger: { queue: { ids: [1] } } });
    expect(story.live(2).state.is).toBe("checking");
  });
  test("refused and unchanged touch nothing, and are answered", () => {
    const refused = serving().wish().checked(1, { is: "refused", check: "memory", why: "too little" });
    expect([refused.state.is, refused.did]).toEqual(["live", ["answer 1 refused"]]);
    const same = serving().wish({ explicit: false }).checked(1, { is: "unchanged" });
    expect([same.state.is, same.did]).toEqual(["live", ["answer 1 unchanged"]]);
  });
});

describe("the child does not do", () => {
  test("it dies: it is mended, the same number follows after a while, three times", () => {
    const story = initializing();
    for (const [child, wait] of [
      [2, 1_000],
      [3, 2_000],
    ] as const) {
      story.exited(child, 1);
      expect([story.state.is, story.did]).toEqual(["mending", ["mend"]]);
      story.mended(1);
      expect(story.state).toMatchObject({ is: "live", current: { run: 1, adminLost: true } });
      expect(story.effects).toMatchObject([{ run: "arm", of: 1, timer: "retry", after: wait }]);
      story.timer(1, "retry", wait).checked(1, "hot-restart");
      expect(story.state).toMatchObject({ is: "initializing", child: { run: child + 1, epoch: 1 } });
    }
    story.exited(4, 1).mended(1);
    expect([story.state.is, story.did]).toEqual(["live", ["answer 1 failed"]]);
  });
  test("it is not LIVE in time: SIGKILL and nothing else, repeated until it is gone", () => {
    const story = initializing().timer(2, "live", 10_000);
    expect([story.state.is, story.did]).toEqual(["cancelling", ["signal 2 SIGKILL", "arm 2 kill-again"]]);
    expect(story.timer(2, "kill-again").did).toEqual(["signal 2 SIGKILL", "arm 2 kill-again"]);
    expect(story.exited(2, "SIGKILL").state.is).toBe("mending");
  });
  test("it cannot be started over the old one: a swap follows; when that can't be either, the old one serves on", () => {
    const error = new Error("no such file");
    const story = initializing().tell({ on: "not-started", run: 2, error });
    expect(story.state).toMatchObject({ is: "trial", current: { run: 1 }, fresh: { run: 3, epoch: 0, lineage: 1 } });
    story.tell({ on: "not-started", run: 3, error });
    expect(story.state).toMatchObject({ is: "live", current: { run: 1 } });
    expect(story.did).toContain("answer 1 failed");
  });
  test("the flag can't be cleared: a swap follows", () => {
    const story = initializing().exited(2, "SIGKILL").mended(1, false);
    expect(story.state).toMatchObject({ is: "trial", fresh: { run: 3, epoch: 0, lineage: 1 }, restart: { ids: [1] } });
    expect(story.did).toEqual(["drop-sockets", "start 3 over nobody, prepared", "await-live 3", "arm 3 live"]);
  });
  test("a wish comes before the retry, and both become one", () => {
    const story = initializing().exited(2, 1).mended(1).wish();
    expect(story.state).toMatchObject({ is: "checking", restart: { ids: [2, 1] } });
  });
  test("a hang meanwhile does not lose the retry", () => {
    const story = initializing().exited(2, 1).mended(1, true, false).tell({ on: "silent", run: 1 });
    expect(story.state).toMatchObject({ is: "trial", restart: { cause: "hung" }, ledger: { queue: { ids: [1] } } });
  });
});

describe("the parent dies", () => {
  test("while the child initializes: the child goes, and the dead one's sockets are adopted", () => {
    const story = initializing().exited(1, "SIGKILL", 2);
    expect([story.state.is, story.did]).toEqual(["cancelling", ["signal 2 SIGKILL", "arm 2 kill-again"]]);
    story.exited(2, "SIGKILL", 2);
    expect(story.state).toMatchObject({ is: "starting", over: "kept-sockets", current: { run: 3, epoch: 1 } });
    expect(story.state).toMatchObject({ ledger: { queue: { ids: [1] } } });
  });
  test("in the drain: we answer in its place until Terminate", () => {
    const story = overlapping().exited(1, "SIGKILL");
    expect(story.state).toMatchObject({ is: "overlap", parent: undefined });
    expect(story.did).toEqual(["stand-in", "arm 2 parent-end"]);
    expect(story.tell({ on: "terminated", run: 2 }).did).toEqual(["end-stand-in"]);
    expect(story.state).toMatchObject({ is: "live", current: { run: 2 } });
  });
  test("hung: killed when its time is over, or when its child is silent", () => {
    expect(overlapping().timer(2, "parent-end", 20_000).did).toEqual(["signal 1 SIGKILL", "arm 2 parent-end"]);
    expect(overlapping().tell({ on: "silent", run: 2 }).did).toEqual(["signal 1 SIGKILL", "arm 2 parent-end"]);
  });
});

describe("a stop in the middle", () => {
  test("the child gets SIGKILL, then the parent drains, asked by its admin while nobody knows it lost", () => {
    const story = initializing().stop();
    expect(story.did).toEqual(["answer 1 overtaken", "signal 2 SIGKILL", "arm 2 kill-again"]);
    story.exited(2, "SIGKILL");
    expect(story.state).toMatchObject({ is: "draining", current: { run: 1, adminLost: false }, others: [] });
    expect(story.did).toContain("drain-listeners 1");
  });
  test("the timer of a child that was given up does not kill the parent in its grace", () => {
    const story = initializing().stop(false).exited(2, "SIGKILL");
    expect(story.state.is).toBe("stopping");
    expect(story.timer(2, "kill-again", 1_000).did).toEqual([]);
    expect(story.timer(1, "kill", 4_000).did).toContain("signal 1 SIGKILL");
  });
  test("in the overlap only the child is told, and it tells its parent", () => {
    const story = overlapping().stop();
    expect(story.did.filter((one) => one.startsWith("drain-listeners"))).toEqual(["drain-listeners 2"]);
    story.timer(2, "drain-end", 5_000);
    expect(story.did).toEqual(["drop-sockets", "signal 2 SIGTERM", "arm 2 kill"]);
    expect(story.exited(2, 0).did).toEqual(["signal 1 SIGTERM"]);
    expect(story.exited(1, 0).outcome).toMatchObject({ how: "stopped", reason: "SIGTERM", forced: false });
  });
  test("after POST /drain nobody is started again, also when both die", () => {
    const story = initializing().tell({ on: "drain", reason: "POST /drain" }).exited(1).exited(2, "SIGKILL");
    expect(story.outcome).toMatchObject({ how: "died", epoch: 0, exit: { signal: "SIGSEGV" } });
  });
  test("the first reason wins while the child goes", () => {
    const story = initializing().stop(true, "first").stop(true, "second").exited(2, "SIGKILL").exited(1, 0);
    expect(story.outcome).toMatchObject({ how: "stopped", reason: "first" });
  });
});

test("a story begins with epoch 0", () => {
  expect(new Story().did).toEqual(["start 1 over nobody, prepared", "await-live 1"]);
});
