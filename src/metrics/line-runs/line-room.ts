import { labelKey } from "../group-check.ts";
import { lineRunsBinary } from "./binary.ts";
import { printed } from "./printed.ts";

/**
 * Looks at lines in a room's bytes, very fast; see assembly/ for what each call promises. All arguments are
 * places in these bytes.
 */
export interface LineRuns {
  /** Where the counter or gauge ends whose first comment is at `line`; `line` when not all of it is in the usual form. */
  family(line: number, end: number, count: 0 | 1): number;
  /** Where lines end that are like the right and bare one at `line`; `count` is 1 when no number may be negative. */
  alike(line: number, at: number, end: number, count: 0 | 1): number;
  /**
   * Where the groups of a histogram end of which the first begins with the right and bare line at `line`, a bucket;
   * `line` when that one is not in the usual form. `keyed` is 1 when their keys are wanted.
   */
  histograms(
    line: number,
    labels: number,
    pair: number,
    value: number,
    pairEnd: number,
    labelsEnd: number,
    end: number,
    keyed: 0 | 1,
  ): number;
  /**
   * Brings lines that are oddly spaced into the usual form where they stand; others stay. The place where they end now,
   * `end` at most.
   */
  tidy(line: number, end: number): number;
  /** Before a page of protobuf. */
  protobufBegin(): void;
  /**
   * Turns Envoy's protobuf into lines of text, from `start` to `end`, to `out`; `outEnd` at most. The place behind what
   * was read; the rest is in `found`.
   */
  protobuf(start: number, end: number, out: number, outEnd: number): number;
  /** Not 0 when the page could end here. */
  protobufWhole(): number;
  /** What the last call found. */
  readonly found: Found;
}

/** Numbers that assembly/bytes.ts lays down. */
export interface Found {
  /** Of `alike` and `family`. */
  readonly lines: number;
  /** Of a family: the place behind its name in `# TYPE`, its type, and where its help begins, or 0. */
  readonly nameEnd: number;
  readonly help: number;
  readonly type: "counter" | "gauge";
  /** Of protobuf: the place behind what was written, and why it stopped: more is needed, place is needed, or it is none. */
  readonly written: number;
  readonly stopped: "more" | "full" | "wrong";
  /** Of a histogram: how many groups, and of each its first byte, its lines and its key, which is a LabelHash. */
  readonly groups: number;
  start(group: number): number;
  linesOf(group: number): number;
  key(group: number): number;
}

/** A piece of memory in which one scrape's lines are looked at. */
export interface LineRoom {
  readonly bytes: Buffer;
  /** Undefined where there is no WebAssembly (`--jitless`, too little address space): all works, and takes longer. */
  readonly runs: LineRuns | undefined;
}

/** What we use of it; without the types of a browser, TypeScript knows only that there is such a thing. */
interface WebAssembly {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Memory: new (size: {
    readonly initial: number;
    readonly maximum: number;
  }) => { readonly buffer: ArrayBuffer };
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
}
const { WebAssembly: assembly } = globalThis as unknown as { readonly WebAssembly: WebAssembly };

const PAGE = 64 * 1024;
/** Of the room; what protobuf needs is behind it, and what is kept for the end of the page behind that. */
const PAGES = 19;
const PROTOBUF_PAGES = 24;
const ALL_PAGES = 34;
/** Where lines may stand: behind what assembly/ keeps for itself, before the bytes that it may read ahead. */
export const ROOM_START = 2048;
export const ROOM_END = PAGES * PAGE - 64;

/** Where protobuf comes in, behind what assembly/protobuf.ts keeps. */
export const PROTOBUF_START = (PAGES + 1) * PAGE;
export const PROTOBUF_END = PROTOBUF_PAGES * PAGE - 64;

/** Where small families wait for the end of the page; page.ts says how much of a source may wait. */
export const KEPT_START = PROTOBUF_PAGES * PAGE;
export const KEPT_END = ALL_PAGES * PAGE;
/** Words for assembly/protobuf.ts, in its order. */
const WORDS = PAGES * PAGE + 12_288;
const words = [
  ...["counter", "gauge", "summary", "untyped", "histogram"],
  ...["# TYPE ", "_bucket", "_sum", "_count", 'le="', 'quantile="', ""],
];

/** Rooms of scrapes that are over: a new one costs 10 GB of addresses (not of memory) until it is collected. */
const spare: LineRoom[] = [];
const MOST_SPARE = 1;
let compiled: object | undefined;

export const takeRoom = (): LineRoom => spare.pop() ?? newRoom();

/** When nobody reads its bytes any more. */
export function giveRoomBack(room: LineRoom): void {
  if (spare.length < MOST_SPARE) spare.push(room);
}

function newRoom(): LineRoom {
  try {
    compiled ??= new assembly.Module(Buffer.from(lineRunsBinary, "base64"));
    const memory = new assembly.Memory({ initial: ALL_PAGES, maximum: ALL_PAGES });
    const bytes = Buffer.from(memory.buffer);
    const format = (value: number, at: number): number => bytes.write(printed(value), at, "latin1");
    const { exports } = new assembly.Instance(compiled, { env: { memory, format } });
    for (const [index, word] of words.entries()) {
      bytes.write(word, WORDS + index * 16);
      bytes[WORDS + index * 16 + 15] = word.length;
    }
    // The module's exports are these by its source; the compiler of TypeScript can't see that.
    const calls = exports as unknown as Omit<LineRuns, "found">;
    const found = new FoundThere(memory.buffer);
    return { bytes, runs: { ...calls, found } };
  } catch {
    return { bytes: Buffer.allocUnsafeSlow(PAGES * PAGE), runs: undefined };
  }
}

const GROUPS = 1024;
const GROUP = 16;

class FoundThere implements Found {
  readonly #words: Uint32Array;
  readonly #rows: Uint32Array;
  constructor(memory: ArrayBuffer) {
    this.#words = new Uint32Array(memory, 0, 7);
    this.#rows = new Uint32Array(memory, GROUPS, (ROOM_START - GROUPS) / 4);
  }
  get lines(): number {
    return this.#words[0] as number;
  }
  get nameEnd(): number {
    return this.#words[1] as number;
  }
  get help(): number {
    return this.#words[6] as number;
  }
  get type(): "counter" | "gauge" {
    return this.#words[2] === 1 ? "counter" : "gauge";
  }
  get groups(): number {
    return this.#words[3] as number;
  }
  get written(): number {
    return this.#words[4] as number;
  }
  get stopped(): "more" | "full" | "wrong" {
    return this.#words[5] === 0 ? "more" : this.#words[5] === 1 ? "full" : "wrong";
  }
  start(group: number): number {
    return this.#rows[(group * GROUP) / 4] as number;
  }
  linesOf(group: number): number {
    return this.#rows[(group * GROUP) / 4 + 1] as number;
  }
  key(group: number): number {
    const row = (group * GROUP) / 4;
    return labelKey(this.#rows[row + 2] as number, this.#rows[row + 3] as number);
  }
}
