import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Clock, Millis } from "../foundation/time.ts";
import { trimMemory } from "./trim-memory.ts";

let collect: (() => void) | undefined;
let armed = false;
let latest: Millis = 0;

/** The collection comes when the burst is over, and only once for many. */
const REST: Millis = 1_500;
/** V8 frees buffers beside us, after the collection. */
const SWEEP: Millis = 500;

/**
 * Gives memory back some time after much passed through: an idle process never collects by itself and would keep its
 * peak for ever (measured after 20 MB pushes: 25 to 39 MB of our own, 22 before them and 22 to 27 with this).
 */
export function giveMemoryBackSoon(clock: Clock): void {
  latest = clock.monotonic();
  if (!armed) waitForRest(clock, REST);
}

function waitForRest(clock: Clock, delay: Millis): void {
  armed = true;
  clock.after(delay, () => {
    const left = latest + REST - clock.monotonic();
    if (left > 0) return waitForRest(clock, left);
    armed = false;
    if (collect === undefined) {
      setFlagsFromString("--expose-gc");
      collect = runInNewContext("gc") as () => void;
    }
    collect();
    // What V8 lets go of lies scattered over the C library's heap.
    clock.after(SWEEP, () => trimMemory()?.());
  });
}

/**
 * From now on V8 marks its heap in one go. Buffers that only pass through count as pressure, so it began to mark twice
 * for each 20 MB, bit by bit and beside us, to find nothing: a third of the push's processor time. In one go, our ten
 * megabytes take some 15 ms, a few times an hour.
 */
export function markInOneGo(): void {
  setFlagsFromString("--no-incremental-marking");
}
