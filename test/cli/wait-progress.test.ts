import { describe, expect, test } from "vitest";
import { lineOfProgress, linesOfProgress } from "../../src/cli/wait/progress.ts";

const collect = () => {
  const written: string[] = [];
  return { written, write: (text: string) => void written.push(text) };
};

describe("lines for a log", () => {
  test("a new reason is told, the same one rarely, and the end only of what was told", () => {
    const { written, write } = collect();
    const progress = linesOfProgress(write, 0);
    for (let now = 0; now < 26_000; now += 500) progress.notYet("tcp://db:1", now < 3_000 ? "a" : "b", now);
    progress.ready("tcp://db:1", 26_000);
    progress.ready("dns:x", 26_000);
    progress.over(26_000);
    expect(written).toEqual([
      "pilotfish: waiting for tcp://db:1: a\n",
      "pilotfish: waiting for tcp://db:1: b\n",
      "pilotfish: waiting for tcp://db:1: b\n",
      "pilotfish: waiting for tcp://db:1: b\n",
      "pilotfish: tcp://db:1 is ready after 26.0 s\n",
    ]);
  });

  test("reasons that flap are told once a second at most, for each target", () => {
    const { written, write } = collect();
    const progress = linesOfProgress(write, 0);
    for (let now = 0; now < 3_000; now += 100) {
      progress.notYet("a", `reason of ${now}`, now);
      progress.notYet("b", `reason of ${now}`, now);
    }
    expect(written.map((line) => line.replace("pilotfish: waiting for ", "").trim())).toEqual([
      "a: reason of 0",
      "b: reason of 0",
      "a: reason of 1000",
      "b: reason of 1000",
      "a: reason of 2000",
      "b: reason of 2000",
    ]);
  });
});

const [CUT, WRAP] = ["\x1b[?7l", "\x1b[?7h"];

describe("one line on a terminal", () => {
  /** What a terminal shows in the end: the last line that was not erased, and the whole ones above. */
  const shown = (written: readonly string[]) =>
    written
      .join("")
      .replaceAll(CUT, "")
      .replaceAll(WRAP, "")
      .split("\n")
      .map((line) => line.split("\r\x1b[2K").at(-1));

  test("is written over, and says how many are ready", () => {
    const { written, write } = collect();
    const progress = lineOfProgress(write, 1_000, 3);
    progress.notYet("a", "no host", 1_000);
    progress.notYet("b", "refused", 1_100);
    progress.ready("c", 1_200);
    expect(shown(written)).toEqual(["pilotfish: 0.2 s, 1 of 3 ready, waiting for a (no host), b (refused)"]);
    progress.notYet("a", "refused", 3_000);
    expect(shown(written)).toEqual(["pilotfish: 2.0 s, 1 of 3 ready, waiting for a (refused), b (refused)"]);
    progress.ready("a", 3_100);
    progress.ready("b", 4_000);
    progress.over(4_000);
    expect(shown(written)).toEqual(["pilotfish: ready after 3.0 s", ""]);
    // The terminal wraps lines again after each write, so that a signal in between leaves it as it was.
    for (const text of written) expect(text.split(CUT).length).toBe(text.split(WRAP).length);
  });

  test("nothing is written when nothing had to be waited for, nothing is left when it was in vain", () => {
    const quiet = collect();
    const ready = lineOfProgress(quiet.write, 0, 1);
    ready.ready("a", 5);
    ready.over(5);
    expect(quiet.written).toEqual([]);
    const vain = collect();
    const never = lineOfProgress(vain.write, 0, 1);
    never.notYet("a", "no", 5);
    never.over(10);
    expect(shown(vain.written)).toEqual([""]);
  });
});
