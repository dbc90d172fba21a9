import { describe, expect, test } from "vitest";
import { Connections, connectionLimits, limitsFor } from "../../src/status/connections.ts";

const limits = { soft: 4, hard: 8, reserve: 2, grace: 30 };
const book = () => new Connections<string>(limits);

describe("connections", () => {
  test("up to the soft limit nobody has to go", () => {
    const all = book();
    for (const name of ["a", "b", "c", "d"]) expect(all.opened(name, "x", false, 0)).toBeUndefined();
    expect(all.crowded).toBe(false);
    expect(all.sweep(1_000)).toEqual([]);
  });

  test("the oldest idle ones of the largest source go first, and not before they had time to speak", () => {
    const all = book();
    all.opened("kubelet", "node", false, 0);
    for (const [index, name] of ["a", "b", "c", "d", "e"].entries()) all.opened(name, "flood", false, index + 1);
    expect(all.crowded).toBe(true);
    expect(all.sweep(20)).toEqual([]);
    expect(all.sweep(100)).toEqual(["a", "b"]);
    expect(all.size).toBe(4);
  });

  test("one with a request in work stays, and becomes the youngest when it is done", () => {
    const all = book();
    for (const name of ["a", "b", "c", "d", "e"]) all.opened(name, "x", false, 0);
    all.mark("a", true, 1);
    expect(all.sweep(100)).toEqual(["b"]);
    all.mark("a", false, 200);
    all.opened("f", "x", false, 201);
    expect(all.sweep(300)).toEqual(["c"]);
    expect(new Set(all.idle())).toEqual(new Set(["d", "e", "a", "f"]));
  });

  test("at the hard limit a newcomer takes the place of an idle one at once", () => {
    const all = book();
    for (let one = 0; one < 8; one++) all.opened(`f${one}`, "flood", false, 0);
    expect(all.opened("new", "node", false, 0)).toBe("f0");
    expect(all.size).toBe(8);
  });

  test("at the hard limit with everybody at work a newcomer is refused; loopback has a reserve", () => {
    const all = book();
    for (let one = 0; one < 8; one++) {
      all.opened(`f${one}`, "flood", false, 0);
      all.mark(`f${one}`, true, 0);
    }
    expect(all.opened("new", "node", false, 0)).toBe("new");
    expect(all.opened("near1", "127.0.0.1", true, 0)).toBeUndefined();
    all.mark("near1", true, 0);
    expect(all.opened("near2", "127.0.0.1", true, 0)).toBeUndefined();
    all.mark("near2", true, 0);
    expect(all.opened("near3", "127.0.0.1", true, 0)).toBe("near3");
    expect(all.size).toBe(10);
  });

  test("a closed one is forgotten, also when it was never there", () => {
    const all = book();
    all.opened("a", "x", false, 0);
    all.closed("a");
    all.closed("a");
    all.mark("a", true, 0);
    expect(all.size).toBe(0);
    expect(all.all()).toEqual([]);
  });

  test("a source whose connections all work does not hide another one's idle ones", () => {
    const all = book();
    for (const name of ["a", "b", "c"]) {
      all.opened(name, "busy", false, 0);
      all.mark(name, true, 0);
    }
    all.opened("d", "idle", false, 0);
    all.opened("e", "idle", false, 1);
    expect(all.sweep(100)).toEqual(["d"]);
  });

  test("a flood of ten thousand never grows past the hard limit", () => {
    const all = new Connections<number>();
    let dropped = 0;
    for (let one = 0; one < 10_000; one++)
      if (all.opened(one, `10.0.0.${one % 250}`, false, one) !== undefined) dropped += 1;
    expect(all.size).toBe(512);
    expect(dropped).toBe(10_000 - 512);
    expect(all.sweep(20_000)).toHaveLength(512 - 256);
  });
});

describe("limits by open files", () => {
  test.each([
    [undefined, connectionLimits],
    [1_048_576, connectionLimits],
    [1_152, connectionLimits],
    [1_024, { soft: 128, hard: 409, reserve: 102, grace: 30 }],
    [128, { soft: 16, hard: 51, reserve: 12, grace: 30 }],
    [1, { soft: 2, hard: 6, reserve: 1, grace: 30 }],
  ])("%s", (openFiles, expected) => {
    expect(limitsFor(openFiles)).toEqual(expected);
  });
});
