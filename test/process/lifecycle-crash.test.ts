import { describe, expect, test } from "vitest";
import { initializing, overlapping, Story, serving, swapping } from "./story.ts";

describe("the only Envoy dies", () => {
  test("with kept sockets: the next epoch adopts them, and the stand-in ends with Terminate", () => {
    const story = serving().exited(1, "SIGKILL", 2, 60_000);
    expect(story.state).toMatchObject({ is: "starting", current: { run: 2, epoch: 1, lineage: 0 } });
    expect(story.did).toEqual(["start 2 over kept-sockets, proven", "await-live 2", "arm 2 let-go"]);
    expect(story.live(2).state).toMatchObject({ is: "overlap", parent: undefined });
    expect(story.did).toEqual(["serves 2", "arm 2 parent-end"]);
    expect(story.tell({ on: "terminated", run: 2 }).state.is).toBe("live");
  });
  test("the one that was to adopt them dies: the same number again", () => {
    const story = serving().exited(1, "SIGKILL", 2, 60_000).exited(2, "SIGSEGV", 2);
    expect(story.state).toMatchObject({ is: "waiting", plan: { epoch: 1, over: "kept-sockets" } });
    story.timer(2, "backoff", 200);
    expect(story.state).toMatchObject({ is: "starting", current: { run: 3, epoch: 1 }, over: "kept-sockets" });
  });
  test("it takes too long: callers are refused instead of left waiting", () => {
    expect(serving().exited(1, "SIGKILL", 2, 60_000).timer(2, "let-go", 10_000).did).toEqual(["drop-sockets"]);
  });
  test("they can't be handed over: epoch 0 at once", () => {
    const story = serving().exited(1, "SIGKILL", 2, 60_000);
    story.tell({ on: "not-started", run: 2, error: new Error("another version") });
    expect(story.state).toMatchObject({ is: "starting", current: { run: 3, epoch: 0, lineage: 0 }, over: "nobody" });
    expect(story.did).toEqual(["drop-sockets", "start 3 over nobody, proven", "await-live 3"]);
  });
  test("without them: epoch 0 at once, then after a back-off, and in the end not any more", () => {
    const story = serving().exited(1);
    expect(story.state).toMatchObject({ is: "starting", current: { run: 2, epoch: 0 } });
    story.exited(2);
    expect(story.effects).toMatchObject([{ run: "drop-sockets" }, { timer: "backoff", after: 200 }]);
    for (let run = 3; story.state.is !== "gone" && run < 20; run++) story.timer(run - 1, "backoff", 200).exited(run);
    expect(story.outcome).toMatchObject({ how: "died", beforeLive: true, exit: { signal: "SIGSEGV" } });
  });
  test("its first configuration is refused: no second try", () => {
    expect(new Story().exited(1, 1).outcome).toMatchObject({ how: "died", beforeLive: true, exit: { code: 1 } });
    expect(new Story().exited(1, "SIGSEGV").state.is).toBe("starting");
  });
  test("exit code 0 was asked for", () => {
    expect(serving().exited(1, 0).outcome).toEqual({ how: "asked-envoy", epoch: 0 });
  });
});

describe("the newest dies in the overlap", () => {
  test("soon after it took over, again and again with good service in between: started at once each time", () => {
    const story = overlapping();
    for (let run = 2; run < 20; run += 2) {
      story.exited(run, "SIGKILL", 2, 60_000);
      expect(story.state).toMatchObject({ is: "starting", current: { run: run + 1 } });
      story.live(run + 1).tell({ on: "terminated", run: run + 1 });
      if (story.state.is === "yielding") story.exited(story.state.old.run, 0);
      story
        .wish()
        .checked(run + 1, "hot-restart")
        .live(run + 2);
    }
  });
  test("with kept sockets: N+2 over the dead one, what served before, and the oldest ends what it has", () => {
    const story = overlapping().exited(2, "SIGSEGV", 2, 60_000);
    expect(story.state).toMatchObject({
      is: "starting",
      current: { run: 3, epoch: 2 },
      over: "kept-sockets",
      older: { run: 1, adminLost: true },
    });
    expect(story.did).toEqual(["end-stand-in", "start 3 over kept-sockets, before", "await-live 3", "arm 3 let-go"]);
    story.live(3);
    expect(story.state).toMatchObject({ is: "yielding", current: { run: 3 }, old: { run: 1 } });
    expect(story.tell({ on: "terminated", run: 3 }).did).toEqual(["end-stand-in"]);
    expect(story.timer(1, "old-end", 15_000).did).toEqual(["signal 1 SIGTERM", "arm 1 kill"]);
    expect(story.timer(1, "kill", 5_000).did).toEqual(["signal 1 SIGKILL", "arm 1 kill"]);
    expect(story.exited(1, "SIGKILL").state).toMatchObject({ is: "live", current: { run: 3 } });
  });
  test("the oldest is gone before the new one says Terminate: we answer on until it does", () => {
    const story = overlapping().exited(2, "SIGKILL", 2, 60_000).live(3).exited(1, 0);
    expect(story.state).toMatchObject({ is: "overlap", current: { run: 3 }, parent: undefined });
    expect(story.did).toEqual(["arm 3 parent-end"]);
    expect(story.tell({ on: "terminated", run: 3 }).did).toEqual(["end-stand-in"]);
    expect(story.state.is).toBe("live");
  });
  test("without: the same epoch over the old one, within a time", () => {
    const story = overlapping().exited(2, "SIGKILL", 0, 60_000);
    expect(story.state).toMatchObject({ is: "initializing", child: { run: 3, epoch: 1 }, restart: undefined });
    expect(story.did).toEqual([
      "end-stand-in",
      "drop-sockets",
      "start 3 over parent, proven",
      "await-live 3",
      "arm 3 live",
    ]);
  });
  test("the old one hangs, so the new child waits for ever: another lineage, which asks nobody", () => {
    const story = overlapping().exited(2, "SIGKILL", 0, 60_000).timer(3, "live", 10_000);
    expect(story.did).toEqual(["signal 3 SIGKILL", "arm 3 kill-again"]);
    story.exited(3, "SIGKILL");
    expect(story.state).toMatchObject({ is: "starting", current: { epoch: 0, lineage: 1 }, older: { run: 1 } });
    expect(story.live(4).state).toMatchObject({ is: "yielding", current: { run: 4 }, old: { run: 1 } });
  });
  test("too often: what the old one has gets its time, then the end is told truthfully", () => {
    const story = overlapping().exited(2, "SIGSEGV", 0, 60_000);
    for (let run = 3; story.state.is !== "draining" && run < 20; run++) {
      if (story.state.is === "waiting") story.timer(run - 1, "backoff", 200);
      story.exited(run);
    }
    expect(story.state).toMatchObject({ is: "draining", current: { run: 1 } });
    story.timer(1, "drain-end", 5_000).exited(1, 0);
    expect(story.outcome).toMatchObject({ how: "died", exit: { signal: "SIGSEGV" } });
  });
});

describe("a swap", () => {
  test("from the start to the end of the old one", () => {
    const story = swapping();
    expect(story.did).toEqual(["drop-sockets", "start 2 over nobody, prepared", "await-live 2", "arm 2 live"]);
    expect(story.live(2).did).toEqual(["watch-trial 2", "arm 2 probation"]);
    story.timer(2, "probation", 5_000);
    expect(story.state).toMatchObject({ is: "yielding", current: { run: 2, lineage: 1 }, old: { run: 1 } });
    expect(story.did).toEqual([
      "serves 2",
      "answer 1 restarted",
      "drain-listeners 1",
      "arm 1 drain-poll",
      "arm 1 old-end",
    ]);
    expect(story.timer(1, "drain-poll", 500).did).toEqual(["count-connections 1"]);
    story.tell({ on: "connections", run: 1, seen: { active: 3, calledLately: true } });
    expect(story.did).toEqual(["arm 1 drain-poll"]);
    story.tell({ on: "connections", run: 1, seen: { active: 0, calledLately: true } });
    expect(story.did).toEqual(["signal 1 SIGTERM", "arm 1 kill"]);
    expect(story.exited(1, 0).state).toMatchObject({ is: "live", current: { run: 2 } });
  });
  test("the new one dies on probation: the old one has never stopped", () => {
    const story = swapping().live(2).exited(2);
    expect(story.state).toMatchObject({ is: "live", current: { run: 1 } });
    expect(story.did).toEqual(["answer 1 failed", "serves 1"]);
  });
  test("it is unfit: its listeners close, then it is killed until it is gone", () => {
    const story = swapping().live(2).tell({ on: "unfit", run: 2, why: "bad answers" });
    expect(story.did).toEqual(["drain-listeners 2", "arm 2 kill"]);
    expect(story.timer(2, "kill", 5_000).did).toEqual(["signal 2 SIGKILL", "arm 2 kill"]);
    expect(story.exited(2, "SIGKILL").did).toEqual(["answer 1 failed", "serves 1"]);
  });
  test("it is never LIVE: killed until it is gone", () => {
    const story = swapping().timer(2, "live", 10_000);
    expect(story.did).toEqual(["signal 2 SIGKILL", "arm 2 kill"]);
    expect(story.timer(2, "kill", 5_000).did).toEqual(["signal 2 SIGKILL", "arm 2 kill"]);
  });
  test("the old one dies: a new one that is LIVE serves, another one does not count", () => {
    expect(swapping().live(2).exited(1).state).toMatchObject({ is: "live", current: { run: 2 } });
    const story = swapping().exited(1);
    expect(story.state).toMatchObject({ is: "starting", current: { run: 3, lineage: 2 }, older: { run: 2 } });
    expect(story.did).toContain("signal 2 SIGKILL");
  });
  test("a stop: both are drained, and both are told to end", () => {
    const story = swapping().live(2).stop();
    expect(story.did.filter((one) => one.startsWith("drain-listeners"))).toEqual([
      "drain-listeners 1",
      "drain-listeners 2",
    ]);
    story.timer(1, "drain-end", 5_000);
    expect(story.did).toEqual(["drop-sockets", "signal 1 SIGTERM", "signal 2 SIGTERM", "arm 1 kill"]);
  });
});

describe("the admin is silent", () => {
  test("while serving: a swap without being asked, with what is proven", () => {
    const story = serving().tell({ on: "silent", run: 1 });
    expect(story.state).toMatchObject({
      is: "trial",
      current: { run: 1, adminLost: true },
      restart: { cause: "hung" },
    });
    expect(story.did).toContain("start 2 over nobody, proven");
  });
  test("of one that lost it to a dead child: that is known", () => {
    expect(initializing().exited(2, 1).mended(1).tell({ on: "silent", run: 1 }).state.is).toBe("live");
  });
});

describe("a parent that hangs while its child initializes", () => {
  test("is found silent when the child has been given up: another one takes its place, and it is ended soon", () => {
    const story = initializing().timer(2, "live", 20_000).exited(2, "SIGKILL").mended(1, true, false);
    story.tell({ on: "silent", run: 1 });
    expect(story.state).toMatchObject({ is: "trial", fresh: { run: 3, lineage: 1 }, restart: { cause: "hung" } });
    story.live(3).timer(3, "probation", 5_000);
    expect(story.state.is).toBe("yielding");
    expect(story.effects).toContainEqual({ run: "arm", of: 1, timer: "old-end", after: 5_000 });
  });
});

test("nothing can be started any more while an old one ends what it has: it gets its time", () => {
  const story = overlapping().exited(2, "SIGSEGV", 2, 60_000);
  const error = new Error("no such file");
  for (let run = 3; story.state.is === "starting" && run < 20; run += 1)
    story.tell({ on: "not-started", run, error }).timer(run, "backoff", 1_000);
  expect(story.state).toMatchObject({ is: "draining", current: { run: 1 } });
  expect(story.exited(1, 0).outcome).toMatchObject({ how: "not-started" });
});

test("the newest hangs while we answer for its dead parent: another one takes its place", () => {
  const story = overlapping().exited(1, "SIGKILL").tell({ on: "silent", run: 2 });
  expect(story.did[0]).toBe("end-stand-in");
  expect(story.state).toMatchObject({ is: "trial", current: { run: 2, adminLost: true }, restart: { cause: "hung" } });
});
