import { describe, expect, test } from "vitest";
import { giveRoomBack, PROTOBUF_START, ROOM_START, takeRoom } from "../../src/metrics/line-runs/line-room.ts";
import { printed } from "../../src/metrics/line-runs/printed.ts";
import { ProtobufLines } from "../../src/metrics/protobuf-lines.ts";
import { CutOff } from "../../src/metrics/tally.ts";
import { Chance } from "./generated-pages.ts";
import { type FamilyGiven, type MetricGiven, protobufPage, textPage } from "./protobuf-page.ts";

interface Manner {
  readonly pieces?: readonly number[];
  /** Bytes of the place for lines. */
  readonly place?: number;
  /** Lines that are not sent at once. */
  readonly later?: boolean;
  /** Pieces are put into the window, as from a socket. */
  readonly inPlace?: boolean;
}

/** The lines that come of a page, however it comes. */
async function converted(
  page: Buffer,
  { pieces = [64_000], place = 1_000_000, later, inPlace }: Manner = {},
): Promise<string> {
  const room = takeRoom();
  if (room.runs === undefined) throw new Error("there is no WebAssembly here");
  const parts: Buffer[] = [];
  const lines = new ProtobufLines(room, room.runs, {
    window: () => room.bytes.subarray(ROOM_START, ROOM_START + place),
    push: (some) => {
      parts.push(Buffer.from(some));
      return later === true ? Promise.resolve() : undefined;
    },
  });
  try {
    for (let at = 0, i = 0; at < page.length; i++) {
      const window = lines.window();
      const piece = page.subarray(at, at + Math.min(window.length, pieces[Math.min(i, pieces.length - 1)] ?? 1));
      if (inPlace === true) window.set(piece);
      await lines.push(inPlace === true ? window.subarray(0, piece.length) : piece);
      at += piece.length;
    }
    lines.end();
    return Buffer.concat(parts).toString();
  } finally {
    giveRoomBack(room);
  }
}

const labels = [
  ["cluster", 'outbound|80||a"b\\c\nd.é'],
  ["x", ""],
] as const;
const every: readonly FamilyGiven[] = [
  {
    name: "c_total",
    type: "counter",
    metrics: [
      { labels: [], value: 0 },
      { labels, value: 123_456_789_012_345 },
    ],
  },
  {
    name: "g",
    type: "gauge",
    metrics: [-7, 2.5, 1e-7, Number.NaN, Number.POSITIVE_INFINITY, -1e300].map((value, i) => ({
      labels: [["i", `${i}`]],
      value,
    })),
  },
  { name: "u", type: "untyped", metrics: [{ labels, value: 10 }] },
  {
    name: "s",
    type: "summary",
    metrics: [
      {
        labels,
        parts: [
          [0.5, 3],
          [0.75, 7.25],
        ],
        sum: 12.5,
        count: 4,
      },
      { labels: [], parts: [], sum: 0, count: 0 },
    ],
  },
  {
    name: "h",
    type: "histogram",
    metrics: [
      {
        labels,
        parts: [
          [0.5, 0],
          [1, 2],
          [2500, 9],
          [Number.POSITIVE_INFINITY, 12],
        ],
        sum: 44.5,
        count: 12,
      },
      { labels: [], parts: [[1, 0]], sum: 0, count: 3 },
      {
        labels: [["other", "bounds"]],
        parts: [
          [0.25, 1],
          [10, 2],
        ],
        sum: 3,
        count: 2,
      },
    ],
  },
];

describe("Envoy's protobuf becomes the lines of its text page", () => {
  test("of every type, with every kind of number and letter", async () => {
    const page = protobufPage(every);
    // Our reference prints numbers as JavaScript does; Envoy's way is longer where a number has no end.
    const exact = textPage(every)
      .replace(" 1e-7", ` ${printed(1e-7)}`)
      .replace(" -1e+300", ` ${printed(-1e300)}`);
    expect(await converted(page)).toBe(exact);
  });

  test.each<Manner>([
    { pieces: [1] },
    { pieces: [1], inPlace: true },
    { pieces: [7, 300, 2] },
    { place: 2_500 },
    { place: 2_100, later: true, pieces: [50] },
    { inPlace: true, later: true, pieces: [91] },
  ])("whatever the pieces and the place: %j", async (manner) => {
    const page = protobufPage(every);
    expect(await converted(page, manner)).toBe(await converted(page));
  });

  test("what must be escaped, in every place of values of every length", async () => {
    const metrics: MetricGiven[] = [];
    for (const length of [1, 15, 16, 17, 32, 40]) {
      for (let at = 0; at < length; at++) {
        for (const one of ['"', "\\", "\n"]) {
          const value = `${"v".repeat(at)}${one}${"w".repeat(length - at - 1)}`;
          // With a second one right behind, whose bytes must not be taken for the first one's.
          metrics.push(
            { labels: [["a", value]], value: 1 },
            {
              labels: [
                ["a", "x".repeat(length)],
                ["b", value],
              ],
              value: 2,
            },
          );
        }
      }
    }
    const page = [{ name: "m", type: "gauge", metrics }] as const;
    expect(await converted(protobufPage(page))).toBe(textPage(page));
  });

  test("a page larger than its place, in and out", async () => {
    const metrics = Array.from(
      { length: 9_000 },
      (_, i): MetricGiven => ({ labels: [["cluster", `svc-${i}.namespace`]], value: i }),
    );
    const page = [{ name: "envoy_thing", type: "counter", metrics }] as const;
    expect(await converted(protobufPage(page), { pieces: [1_000_000], place: 50_000 })).toBe(textPage(page));
  });
});

describe("what is no such page is cut off", () => {
  const page = protobufPage(every);
  const causeOf = (bytes: Buffer, manner?: Manner): Promise<string> =>
    converted(bytes, manner).then(
      () => "none",
      (error: unknown) => (error instanceof CutOff ? error.cause : String(error)),
    );

  test.each([
    ["the end is missing", page.subarray(0, -1), "truncated"],
    ["text", Buffer.from("# TYPE a gauge\na 1\n"), "garbage"],
    ["no name", Buffer.from([4, 0x22, 2, 0x12, 0]), "garbage"],
    ["a type that we don't know", Buffer.from([5, 0x0a, 1, 97, 0x18, 9]), "garbage"],
    ["a length that never ends", Buffer.alloc(20, 0xff), "garbage"],
    [
      "a field longer than any metric",
      Buffer.concat([Buffer.from([0x80, 0x80, 0x40, 0x22, 0xff, 0xff, 0x3f]), Buffer.alloc(150_000)]),
      "long_line",
    ],
    ["a field longer than its family", Buffer.from([3, 0x0a, 5, 97, 97, 97, 97, 97]), "garbage"],
    ["a name longer than any", protobufPage([{ name: "n".repeat(2_000), type: "gauge", metrics: [] }]), "garbage"],
    [
      "a label longer than any",
      protobufPage([{ name: "n", type: "gauge", metrics: [{ labels: [["a", "x".repeat(60_000)]] }] }]),
      "garbage",
    ],
  ])("%s", async (_, bytes, cause) => {
    expect(await causeOf(bytes)).toBe(cause);
  });

  test("2,000 spoiled pages: cut off or turned into lines, never more than that", async () => {
    const causes = new Set<string>();
    for (let seed = 1; seed <= 2_000; seed++) {
      const chance = new Chance(seed);
      const bytes = Buffer.from(page);
      for (let i = 1 + chance.int(4); i > 0; i--) bytes[chance.int(bytes.length)] = chance.int(256);
      causes.add(
        await causeOf(bytes.subarray(0, chance.yes(0.2) ? chance.int(bytes.length) : bytes.length), {
          pieces: [1 + chance.int(900)],
        }),
      );
    }
    expect([...causes].toSorted()).toEqual(
      ["garbage", "long_line", "none", "truncated"].filter((one) => causes.has(one)),
    );
    expect(causes.size).toBeGreaterThan(2);
  });

  test("nothing is written but to its place", async () => {
    const room = takeRoom();
    room.bytes.fill(0xaa, ROOM_START, PROTOBUF_START - 65_536);
    giveRoomBack(room);
    await converted(protobufPage(every), { place: 5_000 });
    expect(room.bytes.subarray(ROOM_START + 5_000 + 64, PROTOBUF_START - 65_536).every((byte) => byte === 0xaa)).toBe(
      true,
    );
  });
});

test.each([
  [0, "0"],
  [-3, "-3"],
  [0.5, "0.5"],
  [0.1, "0.10000000000000000555111512312578"],
  [1.5e-5, "1.5000000000000000380012861456169e-05"],
  [1e-4, "0.00010000000000000000479217360238593"],
  [-2.5e-6, "-2.5000000000000002045076347850783e-06"],
  [1e-9, "1.0000000000000000622815914577799e-09"],
  [3_600_000, "3600000"],
  [1.8446744073709552e19, "18446744073709551616"],
  [1e31, "9999999999999999635896294965248"],
  [1e300, "1.0000000000000000525047602552044e+300"],
  [Number.POSITIVE_INFINITY, "+Inf"],
  [Number.NEGATIVE_INFINITY, "-Inf"],
  [Number.NaN, "NaN"],
])("a number as C prints it, in 32 digits at most: %s", (value, text) => {
  expect(printed(value)).toBe(text);
});
