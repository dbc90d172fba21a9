import type { Metadata } from "./exposition.ts";
import { escapeHelp, escapeValue, isPlainName } from "./exposition.ts";
import type { Naming } from "./naming.ts";
import type { PageWriter } from "./page-writer.ts";
import type { Tally } from "./tally.ts";

/** Where the lines of one family go. They are in the page's form already. */
export interface Sink {
  /** Broken samples must be left out here, since nobody looks at them again. */
  readonly strict: boolean;
  append(bytes: Uint8Array, start: number, end: number, samples: number): void;
  /**
   * What the source itself says right above the first sample, which begins at `end`: help and type in the form that we
   * write, with this word for the type.
   */
  headed(bytes: Uint8Array, start: number, end: number, word: string): void;
  /** Something that went in breaks a rule of the type (only asked when not strict). */
  unclean(): void;
  /** A name of what goes in was written anew: two series may have become one. */
  escaped(): void;
}

/** Straight onto the page; the heading goes before the first sample, so that no family stands there empty. */
export class StreamSink implements Sink {
  readonly strict = true;
  readonly #writer: PageWriter;
  readonly #tally: Tally;
  readonly #naming: Naming;
  readonly #metadata: Metadata;
  readonly #openMetrics: boolean;
  #begun = false;
  /** The heading as the source has it, when that is the same: then it stays before its lines, in one run with them. */
  #source: Uint8Array | undefined;
  #sourceStart = 0;
  #sourceEnd = 0;

  constructor(writer: PageWriter, tally: Tally, naming: Naming, metadata: Metadata, openMetrics: boolean) {
    this.#writer = writer;
    this.#tally = tally;
    this.#naming = naming;
    this.#metadata = metadata;
    this.#openMetrics = openMetrics;
  }

  append(bytes: Uint8Array, start: number, end: number, samples: number): void {
    this.#tally.samples += samples;
    this.#writer.append(bytes, this.#begun ? start : this.#begin(bytes, start), end);
  }

  /** Where to copy from: with the source's own heading, or behind ours. */
  #begin(bytes: Uint8Array, start: number): number {
    this.#begun = true;
    this.#tally.families++;
    if (bytes === this.#source && start === this.#sourceEnd) return this.#sourceStart;
    this.#writer.text(heading(this.#naming, this.#metadata, this.#openMetrics));
    return start;
  }

  headed(bytes: Uint8Array, start: number, end: number, word: string): void {
    if (this.#naming.typeWord !== word || this.#naming.family !== this.#metadata.name) return;
    this.#source = bytes;
    this.#sourceStart = start;
    this.#sourceEnd = end;
  }

  unclean(): void {
    // Strict: what is not clean never comes here.
  }

  escaped(): void {
    // Not looked at again.
  }
}

/** An earlier family has the name: only counted. */
export class DropSink implements Sink {
  readonly strict = false;
  readonly #tally: Tally;
  readonly #family: string;

  constructor(tally: Tally, family: string) {
    this.#tally = tally;
    this.#family = family;
  }

  append(_bytes: Uint8Array, _start: number, _end: number, samples: number): void {
    this.#tally.dropFrom(this.#family, samples);
  }

  headed(): void {
    // Nothing of it goes out.
  }

  unclean(): void {
    // Nothing of it goes out.
  }

  escaped(): void {
    // Nothing of it goes out.
  }
}

const nothing = Buffer.alloc(0);

/** Lines that wait, up to a limit; what does not fit is refused as a whole. */
export class LineStore {
  #bytes: Buffer = nothing;
  #length = 0;
  samples = 0;

  add(bytes: Uint8Array, start: number, end: number, samples: number): void {
    const needed = this.#length + end - start;
    if (needed > this.#bytes.length) {
      // Out of Node's pool when it is small: a page may have thousands of them.
      const grown = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes.subarray(start, end), this.#length);
    this.#length = needed;
    this.samples += samples;
  }

  get length(): number {
    return this.#length;
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    // The page's writer may have borrowed it.
    this.#bytes = nothing;
    this.#length = 0;
    this.samples = 0;
  }
}

/** HELP, TYPE and UNIT as the page's form spells them. */
export function heading(naming: Naming, metadata: Metadata, openMetrics: boolean): string {
  const { family, type, typeWord } = naming;
  const name = isPlainName(family) ? family : `"${escapeValue(family)}"`;
  const { help, unit } = metadata;
  const said = help === undefined || help === "" ? "" : openMetrics ? escapeValue(help) : escapeHelp(help);
  const measured =
    openMetrics &&
    unit !== undefined &&
    unit !== "" &&
    family.endsWith(`_${unit}`) &&
    type !== "info" &&
    type !== "stateset";
  return `${said === "" ? "" : `# HELP ${name} ${said}\n`}# TYPE ${name} ${typeWord}\n${measured ? `# UNIT ${name} ${unit}\n` : ""}`;
}
