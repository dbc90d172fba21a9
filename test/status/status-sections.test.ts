import { expect, test } from "vitest";
import { Tally } from "../../src/metrics/tally.ts";
import { LastScrapes } from "../../src/status/last-scrapes.ts";
import { processSection, restartsSection } from "../../src/status/status-sections.ts";
import { statusText } from "../../src/status/status-text.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

const plain = (section: Parameters<typeof statusText>[0][number]): string => statusText([section], { colour: false });

test("the last scrape of each source: when, how long, how much, and whether it was whole", () => {
  const clock = new FakeClock();
  const scrapes = new LastScrapes(clock);
  expect(plain(scrapes.section())).toContain("nobody has asked for /stats/prometheus yet");
  const tally = (source: string, bytes: number, samples: number): Tally =>
    Object.assign(new Tally(source), { bytes, samples });
  const broken = tally("app", 20, 1);
  broken.drop("syntax", 3);
  scrapes.note([
    { tally: tally("agent", 6_000, 40), seconds: 0.002, failure: undefined },
    { tally: tally("envoy", 1_200_000, 9_000), seconds: 0.15, failure: undefined },
    { tally: broken, seconds: 0.2, failure: undefined },
  ]);
  clock.advance(15_000);
  scrapes.note([
    { tally: tally("agent", 6_000, 40), seconds: 0.002, failure: undefined },
    { tally: tally("envoy", 0, 0), seconds: 1, failure: "deadline" },
  ]);
  clock.advance(1_000);
  expect(plain(scrapes.section())).toBe(`Last scrape of each source
  scrapes so far  2
  source  ago     done after  size    samples  outcome
+ agent   1.0 s   2 ms        6.0 kB  40       whole
! envoy   1.0 s   1.0 s       0 B     0        deadline
~ app     16.0 s  200 ms      20 B    1        3 samples left out
`);
});

test("the restarts and their causes, newest first", () => {
  const history = [
    { at: 1_000, cause: "SIGHUP", outcome: "restarted", by: "hot-restart", epoch: 1, tookMs: 420 },
    {
      at: 5_000,
      cause: "changed: bootstrap",
      outcome: "refused: no",
      by: undefined,
      epoch: undefined,
      tookMs: 90,
      bad: true,
    },
  ];
  expect(plain(restartsSection(history, 9_000))).toBe(`Restarts of Envoy
  ago    cause               outcome      by           epoch  took
! 4.0 s  changed: bootstrap  refused: no  -            -      90 ms
+ 8.0 s  SIGHUP              restarted    hot-restart  1      420 ms
`);
  expect(plain(restartsSection([], 0))).toBe("Restarts of Envoy\n  none so far\n");
});

test("memory is held against the limit together with Envoy's", () => {
  const facts = { version: "1", commit: "c", nodeId: "n", upMs: 1, heapBytes: 1, openFiles: 1, maxFiles: 100 };
  const text = (envoyBytes: number): string =>
    plain(processSection({ ...facts, residentBytes: 60e6, envoyBytes, memoryLimitBytes: 128e6 }));
  expect(text(50e6)).toMatch(/^ {2}memory .* 60\.0 MB$/m);
  expect(text(60e6)).toMatch(/^! memory .* 60\.0 MB$/m);
  expect(text(50e6)).toMatch(/^ {2}Envoy's memory +50\.0 MB$/m);
});
