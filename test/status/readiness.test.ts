import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Facts, type Log, noLog } from "../../src/foundation/log.ts";
import { type Contributor, Readiness, type Standing } from "../../src/status/readiness.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

interface Line {
  readonly level: string;
  readonly text: string;
  readonly facts: Facts;
}

let clock: FakeClock;
let lines: Line[];

const keep =
  (level: string) =>
  (text: string, facts: Facts = {}) => {
    lines.push({ level, text, facts });
  };
const log: Log = {
  debug: keep("debug"),
  info: keep("info"),
  warn: keep("warn"),
  error: keep("error"),
  scoped: () => log,
};

beforeEach(() => {
  clock = new FakeClock();
  lines = [];
});
afterEach(() => expect(clock.pending()).toBe(0));

const yes: Standing = { ready: true };
const no = (reason: string): Standing => ({ ready: false, reason });
const says = (name: string, check: Contributor["check"]): Contributor => ({ name, check });
const readiness = (...contributors: readonly Contributor[]): Readiness =>
  new Readiness({ contributors, clock, log, limit: 1_000 });
/** Lets promises that are already settled run on. */
const settle = async () => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

describe("verdict", () => {
  const cases: readonly {
    readonly title: string;
    readonly contributors: readonly Contributor[];
    readonly ready: boolean;
    readonly reason: string;
    readonly texts: readonly string[];
  }[] = [
    { title: "nobody has a say", contributors: [], ready: true, reason: "", texts: [] },
    {
      title: "all are ready",
      contributors: [says("a", () => yes), says("b", async () => yes)],
      ready: true,
      reason: "",
      texts: ["", ""],
    },
    {
      title: "a note does no harm",
      contributors: [says("a", () => ({ ready: true, note: "turned off" }))],
      ready: true,
      reason: "",
      texts: ["turned off"],
    },
    {
      title: "the first reason is shown, all are listed, also when a later one answered earlier",
      contributors: [says("a", () => yes), says("b", async () => no("late")), says("c", () => no("early"))],
      ready: false,
      reason: "b: late",
      texts: ["", "late", "early"],
    },
    {
      title: "one that throws",
      contributors: [
        says("a", () => {
          throw new Error("boom");
        }),
        says("b", () => yes),
      ],
      ready: false,
      reason: "a: cannot tell: boom",
      texts: ["cannot tell: boom", ""],
    },
    {
      title: "one that rejects with something that is no error",
      contributors: [says("a", () => Promise.reject("nonsense"))],
      ready: false,
      reason: "a: cannot tell: nonsense",
      texts: ["cannot tell: nonsense"],
    },
  ];
  test.each(cases)("$title", async ({ contributors, ready, reason, texts }) => {
    const verdict = await readiness(...contributors).judge();
    expect(verdict).toEqual({
      ready,
      reason,
      contributors: contributors.map((one, index) => ({
        name: one.name,
        ready: !reason.startsWith(`${one.name}:`) && (ready || texts[index] === ""),
        text: texts[index],
      })),
    });
  });
});

describe("time", () => {
  test("one that does not answer is not ready after the limit, and does not hold the reason of others", async () => {
    const judge = readiness(
      says("hangs", () => new Promise(() => undefined)),
      says("b", () => no("b's")),
    );
    const verdict = judge.judge();
    clock.advance(1_000);
    expect(await verdict).toMatchObject({
      ready: false,
      reason: "hangs: cannot tell: no answer within 1000 ms",
      contributors: [{ ready: false }, { text: "b's" }],
    });
  });

  test("a hanging check is not started again at each probe, but again after a long time", async () => {
    let calls = 0;
    const judge = readiness(
      says("hangs", () => {
        calls += 1;
        return new Promise(() => undefined);
      }),
    );
    for (let probe = 0; probe < 10; probe++) {
      const verdict = judge.judge();
      clock.advance(1_000);
      expect((await verdict).ready).toBe(false);
    }
    expect(calls).toBe(1);
    clock.advance(20_000);
    const verdict = judge.judge();
    clock.advance(1_000);
    await verdict;
    expect(calls).toBe(2);
  });

  test("one that answers too late is asked afresh the next time", async () => {
    const answers: ((standing: Standing) => void)[] = [];
    const judge = readiness(says("slow", () => new Promise((resolve) => answers.push(resolve))));
    const first = judge.judge();
    clock.advance(1_000);
    expect((await first).ready).toBe(false);
    answers[0]?.(yes);
    await settle();
    const second = judge.judge();
    expect(answers).toHaveLength(2);
    answers[1]?.(no("now"));
    expect((await second).reason).toBe("slow: now");
  });

  test("probes at the same time share one judgement; the next one is a new one", async () => {
    const answers: ((standing: Standing) => void)[] = [];
    const judge = readiness(says("slow", () => new Promise((resolve) => answers.push(resolve))));
    const probes = Array.from({ length: 100 }, () => judge.judge());
    expect(answers).toHaveLength(1);
    answers[0]?.(yes);
    expect((await Promise.all(probes)).every((one) => one.ready)).toBe(true);
    const next = judge.judge();
    expect(answers).toHaveLength(2);
    answers[1]?.(yes);
    await next;
  });

  test("what is known at once is as fresh as the answer, not as the question", async () => {
    let draining = false;
    let answer: ((standing: Standing) => void) | undefined;
    const judge = readiness(
      says("drain", () => (draining ? no("SIGTERM") : yes)),
      says("slow", () => new Promise((resolve) => (answer = resolve))),
    );
    const verdict = judge.judge();
    draining = true;
    answer?.(yes);
    expect((await verdict).reason).toBe("drain: SIGTERM");
  });

  test("one that answers at once the first time and slowly the second keeps its first answer", async () => {
    let asked = 0;
    const judge = readiness(says("a", () => (asked++ === 0 ? yes : Promise.reject(new Error("late")))));
    expect((await judge.judge()).ready).toBe(true);
    await settle();
  });
});

describe("log", () => {
  test("a change is told once, with how long the state before lasted; a changed reason only to who debugs", async () => {
    let standing = no("starting");
    const judge = readiness(says("envoy", () => standing));
    const probe = async (times: number, after: number) => {
      for (let one = 0; one < times; one++) {
        clock.advance(after);
        await judge.judge();
      }
    };
    await probe(3, 100);
    standing = no("still starting");
    await probe(2, 100);
    standing = yes;
    await probe(5, 1_000);
    standing = no("crashed");
    await probe(3, 1_000);
    standing = yes;
    await probe(2, 1_000);
    expect(lines).toEqual([
      { level: "info", text: "Not ready yet", facts: { reason: "envoy: starting" } },
      { level: "debug", text: "Still not ready", facts: { reason: "envoy: still starting" } },
      { level: "info", text: "Ready", facts: { notReadyForMs: 1_500 } },
      { level: "warn", text: "Not ready any more", facts: { reason: "envoy: crashed", readyForMs: 5_000 } },
      { level: "info", text: "Ready", facts: { notReadyForMs: 3_000 } },
    ]);
  });

  test("ready at the first probe is told, too; flapping is told as often as it happens", async () => {
    let standing: Standing = yes;
    const judge = readiness(says("envoy", () => standing));
    clock.advance(40);
    await judge.judge();
    for (const next of [no("x"), yes, no("x"), yes]) {
      standing = next;
      clock.advance(10);
      await judge.judge();
    }
    expect(lines.map((one) => one.text)).toEqual([
      "Ready",
      "Not ready any more",
      "Ready",
      "Not ready any more",
      "Ready",
    ]);
    expect(lines[1]?.facts).toEqual({ reason: "envoy: x", readyForMs: 10 });
  });
});

describe("our own look, for the metrics", () => {
  const counted = (check: Contributor["check"]) => {
    const verdicts: boolean[] = [];
    const onVerdict = ({ ready }: { readonly ready: boolean }) => verdicts.push(ready);
    return { judge: new Readiness({ contributors: [says("a", check)], clock, log: noLog, onVerdict }), verdicts };
  };

  test("is no probe, unless one comes while it is going on", async () => {
    const answers: ((standing: Standing) => void)[] = [];
    const { judge, verdicts } = counted(() => new Promise((resolve) => answers.push(resolve)));
    const alone = judge.look();
    answers[0]?.(yes);
    await alone;
    expect(verdicts).toEqual([]);
    const shared = [judge.look(), judge.judge(), judge.judge()];
    answers[1]?.(no("x"));
    await Promise.all(shared);
    expect(verdicts).toEqual([false]);
    const again = judge.look();
    answers[2]?.(yes);
    await again;
    expect(verdicts).toEqual([false]);
  });

  test("what it found counts until the next verdict, and for five seconds at most", async () => {
    let standing: Standing | Promise<Standing> = yes;
    const { judge } = counted(() => standing);
    expect(judge.readyLately).toBe(false);
    await judge.look();
    clock.advance(5_000);
    expect(judge.readyLately).toBe(true);
    clock.advance(1);
    expect(judge.readyLately).toBe(false);
    await judge.judge();
    expect(judge.readyLately).toBe(true);
    standing = no("x");
    await judge.look();
    expect(judge.readyLately).toBe(false);
  });

  test("one that hangs does not hold what was known, but only as long as that is fresh", async () => {
    let standing: Standing | Promise<Standing> = yes;
    const { judge } = counted(() => standing);
    await judge.look();
    standing = new Promise(() => undefined);
    const hanging = judge.look();
    expect(judge.readyLately).toBe(true);
    clock.advance(2_500);
    await hanging;
    expect(judge.readyLately).toBe(false);
  });
});
