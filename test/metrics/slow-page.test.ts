// A page that takes long to read must not keep probes and certificates waiting: it is read in small pieces then, with
// a turn of the event loop behind each.
import { expect, test } from "vitest";
import { giveRoomBack, takeRoom } from "../../src/metrics/line-runs/line-room.ts";
import { MergedPage } from "../../src/metrics/page.ts";
import { PageWriter } from "../../src/metrics/page-writer.ts";
import { readSource } from "../../src/metrics/read-source.ts";
import type { Source } from "../../src/metrics/scrape-sources.ts";
import { Tally } from "../../src/metrics/tally.ts";
import type { BodyStream } from "../../src/system/body-stream.ts";

const source: Source = { label: "app", type: "application", targets: [], path: "/", limit: 100_000_000 };
const page = Buffer.from(Array.from({ length: 60_000 }, (_, i) => `thing{a="${"x".repeat(30)}${i}"} ${i}\n`).join(""));

/** As much of the page at a time as the reader has place for; the sizes. */
function stream(sizes: number[]): BodyStream {
  return {
    head: { status: 200, headers: new Map([["content-type", "text/plain"]]) },
    async read(take, window) {
      for (let at = 0; at < page.length; ) {
        const place = window?.();
        if (place === undefined) throw new Error("there is no place for the next piece");
        const size = Math.min(place.length, page.length - at);
        place.set(page.subarray(at, at + size));
        at += size;
        sizes.push(size);
        await take(place.subarray(0, size));
      }
    },
    ahead: () => undefined,
    close: () => undefined,
  };
}

/** Reads the page while each look at the clock finds it `pace` ms later. */
async function read(
  pace: number,
): Promise<{ readonly sizes: readonly number[]; readonly turns: number; samples: number }> {
  const sizes: number[] = [];
  let turns = 0;
  let now = 0;
  const writer = new PageWriter();
  const room = takeRoom();
  const tally = new Tally("app");
  const merged = new MergedPage({ form: "text", escaping: "underscores" }, writer, room);
  const flush = (): undefined => void writer.take();
  const turn = async (): Promise<void> => void turns++;
  const clock = { monotonic: () => (now += pace) };
  await readSource(source, stream(sizes), merged, tally, { room, flush, clock, turn });
  giveRoomBack(room);
  return { sizes, turns, samples: tally.samples };
}

test("a page that is read fast comes in large pieces, without a turn between them", async () => {
  const { sizes, turns, samples } = await read(1);
  expect({ turns, samples }).toEqual({ turns: 0, samples: 60_000 });
  expect(Math.min(...sizes.slice(0, -1))).toBeGreaterThan(500_000);
});

test("one that is read slowly comes in small pieces, with a turn behind each", async () => {
  const { sizes, turns, samples } = await read(6);
  expect({ turns, samples }).toEqual({ turns: sizes.length, samples: 60_000 });
  expect(Math.max(...sizes.slice(1))).toBeLessThanOrEqual(64 * 1024);
});
