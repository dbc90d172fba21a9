import { labelKey } from "../group-check.ts";
import { lineRunsBinary } from "./binary.ts";

/**
 * Looks at lines in a room's bytes, very fast; see assembly/ for what each call promises. All arguments are
 * places in these bytes.
 */
export interface LineRuns {
  /** Where the counter or gauge ends whose `# TYPE` stands at `line`; `line` when not all of it is in the usual form. */
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
  /** What the last call found. */
  readonly found: Found;
}

/** Numbers that assembly/bytes.ts lays down. */
export interface Found {
  /** Of `alike` and `family`. */
  readonly lines: number;
  /** Of a family: the place behind its name in the comment, and its type. */
  readonly nameEnd: number;
  readonly type: "counter" | "gauge";
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
const PAGES = 19;
/** Where lines may stand: behind what assembly/ keeps for itself, before the bytes that it may read ahead. */
export const ROOM_START = 2048;
export const ROOM_END = PAGES * PAGE - 64;

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
    const memory = new assembly.Memory({ initial: PAGES, maximum: PAGES });
    const { exports } = new assembly.Instance(compiled, { env: { memory } });
    // The module's exports are these by its source; the compiler of TypeScript can't see that.
    const calls = exports as unknown as Omit<LineRuns, "found">;
    const found = new FoundThere(memory.buffer);
    return { bytes: Buffer.from(memory.buffer), runs: { ...calls, found } };
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
    this.#words = new Uint32Array(memory, 0, 4);
    this.#rows = new Uint32Array(memory, GROUPS, (ROOM_START - GROUPS) / 4);
  }
  get lines(): number {
    return this.#words[0] as number;
  }
  get nameEnd(): number {
    return this.#words[1] as number;
  }
  get type(): "counter" | "gauge" {
    return this.#words[2] === 1 ? "counter" : "gauge";
  }
  get groups(): number {
    return this.#words[3] as number;
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
