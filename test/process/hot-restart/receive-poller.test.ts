import { afterEach, beforeEach, expect, test } from "vitest";
import { type Datagram, ReceivePoller } from "../../../src/system/datagram-sockets.ts";
import { FakeClock } from "../../fakes/fake-clock.ts";

/** The event loop's turns, by hand. */
class Turns {
  waiting: (() => void)[] = [];
  readonly soon = (fire: () => void): (() => void) => {
    this.waiting.push(fire);
    return () => {
      this.waiting = this.waiting.filter((one) => one !== fire);
    };
  };
  go(): void {
    const now = this.waiting;
    this.waiting = [];
    for (const fire of now) fire();
  }
}

let clock: FakeClock;
let turns: Turns;
let queue: Datagram[];
let looks: number;
let seen: string[];
let errors: Error[];
let broken: boolean;

beforeEach(() => {
  clock = new FakeClock();
  turns = new Turns();
  [queue, seen, errors, looks, broken] = [[], [], [], 0, false];
});
afterEach(() => {
  expect(clock.pending()).toBe(0);
  expect(turns.waiting).toEqual([]);
});

const datagram = (text: string): Datagram => ({ bytes: Buffer.from(text), descriptors: [], truncated: false });

function poller(onDatagram: (text: string) => void = (text) => seen.push(text)): ReceivePoller {
  const receive = (): Datagram | undefined => {
    looks += 1;
    if (broken) throw new Error("recvmsg failed");
    return queue.shift();
  };
  return new ReceivePoller(receive, {
    clock,
    soon: turns.soon,
    onDatagram: ({ bytes }) => onDatagram(bytes.toString()),
    onError: (error) => errors.push(error),
  });
}

/** Turns of the loop with `step` ms between them. */
function run(total: number, step: number): void {
  for (let passed = 0; passed < total; passed += step) {
    turns.go();
    clock.advance(step);
  }
}

test("looks in every turn at first, then every 2 ms, then every 20 ms", () => {
  const one = poller();
  for (let turn = 0; turn < 50; turn++) turns.go();
  expect(looks).toBe(50);
  run(12, 1);
  looks = 0;
  run(900, 2);
  expect(looks).toBe(450);
  run(100, 2);
  looks = 0;
  run(1_000, 2);
  expect(looks).toBe(50);
  one.stop();
});

test("traffic makes it eager again, and so does sending", () => {
  const one = poller();
  run(2_000, 2);
  queue.push(datagram("a"), datagram("b"));
  for (let passed = 0; passed < 20 && seen.length === 0; passed += 2) clock.advance(2);
  expect(seen).toEqual(["a", "b"]);
  expect(turns.waiting).toHaveLength(1);
  run(2_000, 2);
  expect(turns.waiting).toEqual([]);
  one.wake();
  expect(turns.waiting).toHaveLength(1);
  expect(clock.pending()).toBe(0);
  one.stop();
});

test("a flood leaves turns to others", () => {
  const one = poller();
  for (let count = 0; count < 200; count++) queue.push(datagram("x"));
  turns.go();
  expect(seen).toHaveLength(64);
  turns.go();
  turns.go();
  turns.go();
  expect(seen).toHaveLength(200);
  one.stop();
});

test("a receiver that throws is reported and the next datagram still comes", () => {
  const one = poller((text) => {
    if (text === "bad") throw new Error("bug");
    seen.push(text);
  });
  queue.push(datagram("bad"), datagram("good"));
  turns.go();
  expect(seen).toEqual(["good"]);
  expect(errors.map(({ message }) => message)).toEqual(["bug"]);
  one.stop();
});

test("stopping from within delivers nothing more", () => {
  const one = poller((text) => {
    seen.push(text);
    one.stop();
  });
  queue.push(datagram("a"), datagram("b"));
  turns.go();
  one.wake();
  expect(seen).toEqual(["a"]);
});

test("a socket that can't be read is reported once and left", () => {
  poller();
  broken = true;
  turns.go();
  run(100, 1);
  expect(errors.map(({ message }) => message)).toEqual(["recvmsg failed"]);
});
