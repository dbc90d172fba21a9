import { LineCutter } from "../src/metrics/line-cutter.ts";
import { giveRoomBack, takeRoom } from "../src/metrics/line-runs/line-room.ts";
import { MergedPage } from "../src/metrics/page.ts";
import { PageWriter } from "../src/metrics/page-writer.ts";
import { SourceMerge } from "../src/metrics/source-merge.ts";
import { Tally } from "../src/metrics/tally.ts";
import { type BenchGroup, type Row, spread } from "./row.ts";

type Form = "text" | "openmetrics";
interface Spelling {
  readonly what: string;
  readonly form: Form;
  /** The form of the merged page. */
  readonly to: Form;
  readonly head: string;
  /** The line, or lines, of this number. */
  readonly line: (number: number) => string;
}

const labels = (number: number): string => `a="outbound|8080||svc-${number}.namespace",b="200"`;
const gauge = { form: "text", to: "text", head: "# TYPE m gauge\n" } as const;
const bounds = ["0.1", "0.5", "1", "5", "10", "50", "100", "+Inf"];

function histogram(number: number, exemplar: string): string {
  const buckets = bounds.map((le, count) => `h_bucket{${labels(number)},le="${le}"} ${count}${exemplar}\n`);
  return `${buckets.join("")}h_sum{${labels(number)}} 5\nh_count{${labels(number)}} 7\n`;
}
const traced = ' # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.5 1700000000.123';

/** How pages are spelled that people have. */
const spellings: readonly Spelling[] = [
  { ...gauge, what: "regular lines", line: (n) => `m{${labels(n)}} ${n}\n` },
  { ...gauge, what: "with time stamps", line: (n) => `m{${labels(n)}} ${n} 1700000000000\n` },
  { ...gauge, what: "a comma behind the last label", line: (n) => `m{${labels(n)},} ${n}.0\n` },
  { ...gauge, what: "blanks between labels", line: (n) => `m{${labels(n).replace(",", ", ")}} ${n}\n` },
  { ...gauge, what: "CRLF", line: (n) => `m{${labels(n)}} ${n}\r\n` },
  { ...gauge, what: "escapes in labels", line: (n) => `m{${labels(n)},c="C:\\\\x"} ${n}\n` },
  { ...gauge, what: "NaN", line: (n) => `m{${labels(n)}} NaN\n` },
  {
    what: "OpenMetrics histograms",
    form: "openmetrics",
    to: "openmetrics",
    head: "# TYPE h histogram\n",
    line: (n) => histogram(n, ""),
  },
  {
    what: "with exemplars",
    form: "openmetrics",
    to: "openmetrics",
    head: "# TYPE h histogram\n",
    line: (n) => histogram(n, traced),
  },
  {
    what: "the same for a text page",
    form: "openmetrics",
    to: "text",
    head: "# TYPE h histogram\n",
    line: (n) => histogram(n, traced),
  },
  { ...gauge, what: "quoted names", head: '# TYPE "m.x" gauge\n', line: (n) => `{"m.x",${labels(n)}} ${n}\n` },
];

const BYTES = 2e6;
const ROUNDS = 15;

export const groups: readonly BenchGroup[] = [{ name: "spelling", run: async () => spellings.map(row) }];

function row(spelling: Spelling): Row {
  const page = pageOf(spelling);
  const took: number[] = [];
  for (let round = -ROUNDS; round < ROUNDS; round++) {
    const began = performance.now();
    const samples = merge(page, spelling);
    if (samples === 0) throw new Error(`nothing of "${spelling.what}" is on the page`);
    if (round >= 0) took.push((performance.now() - began) / (page.length / 1e6));
  }
  return { what: `a MB of one source, merged: ${spelling.what}`, value: spread(took, "ms", 1) };
}

function pageOf({ form, head, line }: Spelling): Buffer {
  const parts = [head];
  for (let number = 0, length = 0; length < BYTES; number++) {
    const text = line(number);
    parts.push(text);
    length += text.length;
  }
  return Buffer.from(`${parts.join("")}${form === "text" ? "" : "# EOF\n"}`);
}

/** As a scrape does it, without the sockets; the samples that went out. */
function merge(page: Buffer, { form, to }: Spelling): number {
  const room = takeRoom();
  const writer = new PageWriter();
  const merged = new MergedPage({ form: to, escaping: "underscores" }, writer, room);
  const tally = new Tally("bench");
  const source = new SourceMerge(merged, tally, form, true, room);
  const cutter = new LineCutter(room, (bytes, start, end) => source.push(bytes, start, end));
  for (let at = 0; at < page.length; at += 128 * 1024) {
    cutter.push(page.subarray(at, at + 128 * 1024));
    writer.take();
  }
  cutter.end();
  source.end();
  merged.finish();
  writer.take();
  giveRoomBack(room);
  return tally.samples;
}
