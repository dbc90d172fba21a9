import { LF, type Metadata } from "./exposition.ts";
import { HeldFamily } from "./held-family.ts";
import { KEPT_END, KEPT_START } from "./line-runs/line-room.ts";
import type { Naming } from "./naming.ts";
import type { Tally } from "./tally.ts";

/** A whole family in the text form: its first comment (help or type), its first line, the place behind it. */
export interface WholeFamily {
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly samples: number;
  readonly at: number;
  readonly first: number;
  readonly to: number;
}

/**
 * A held family that came in one piece and is right by every rule: nearly all that are held, hundreds on Envoy's page.
 * It costs one small object, and nearly always it goes out as it stands.
 */
export class HeldWhole {
  readonly tally: Tally;
  readonly family: WholeFamily;
  /** In the room's bytes. */
  readonly start: number;

  constructor(tally: Tally, family: WholeFamily, start: number) {
    this.tally = tally;
    this.family = family;
    this.start = start;
  }

  get end(): number {
    const { at, to } = this.family;
    return this.start + to - at;
  }

  /** So that other samples can join it. */
  opened(bytes: Buffer, naming: (metadata: Metadata) => Naming): HeldFamily {
    const { name, type, samples, at, first } = this.family;
    const lines = this.start + first - at;
    const metadata = { name, type, help: helpOf(bytes, this.start, name), unit: undefined };
    const held = new HeldFamily(naming(metadata), metadata, this.tally);
    held.own.add(bytes, lines, this.end, samples);
    return held;
  }
}

/** What is said of it, if the first comment is that. */
export function helpOf(bytes: Buffer, start: number, name: string): string | undefined {
  const word = "# HELP ";
  if (bytes.toString("latin1", start, start + word.length) !== word) return undefined;
  return bytes.toString("utf8", start + word.length + name.length + 1, bytes.indexOf(LF, start));
}

/** The part of a room in which whole families wait, one behind the other. */
export class Keep {
  readonly bytes: Buffer;
  #end = KEPT_START;

  /** `bytes`: of a LineRoom with runs. */
  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Takes a copy of what stands in the same room; the place where it is now, undefined when there is no more. */
  take(at: number, to: number): number | undefined {
    const start = this.#end;
    if (start + to - at > KEPT_END) return undefined;
    this.bytes.copyWithin(start, at, to);
    this.#end += to - at;
    return start;
  }
}
