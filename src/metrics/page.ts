import { arrange } from "./arrange.ts";
import type { Metadata, Output } from "./exposition.ts";
import { isPlainName } from "./exposition.ts";
import { HeldFamily, HoldSink, JoinSink } from "./held-family.ts";
import { HeldWhole, Keep, type WholeFamily } from "./held-whole.ts";
import type { LineRoom } from "./line-runs/line-room.ts";
import { asUnknown, type Naming, nameFamily } from "./naming.ts";
import type { PageWriter } from "./page-writer.ts";
import { DropSink, heading, type LineStore, type Sink, StreamSink } from "./sinks.ts";
import { CutOff, type Tally } from "./tally.ts";

/** What the page may hold back or remember, in bytes and names. */
export interface PageLimits {
  /** The largest family that is held until the end of the page, and all that join it. */
  readonly family: number;
  /** All that is held of one source. */
  readonly held: number;
  /** Families of one source. */
  readonly families: number;
}

export const pageLimits: PageLimits = { family: 16 * 1024, held: 512 * 1024, families: 20_000 };

/** What a held family costs beside its lines. */
const HELD_OVERHEAD = 300;

export interface Opened {
  readonly naming: Naming;
  readonly sink: Sink;
  /** The family is this source's own: what it brings along may go out too. */
  readonly alone: boolean;
}

/** See HoldHooks; of the family with this metadata, which was opened under this naming. */
export type Filter = (opened: Naming, metadata: Metadata, bytes: Buffer, sink: Sink) => void;

/**
 * The page that comes into being: who has which name, what is held for a join, what is written. The rule:
 * a family belongs to the first source that gives it (agent, Envoy, applications as configured). Small families are
 * held until the end of the page; a later family of the same name and type joins a held one, series by series, and
 * a series that is there already is dropped. Every other repetition is dropped whole. All drops are counted by source and name.
 * What goes out depends on the pages alone, never on their timing.
 */
export class MergedPage {
  readonly output: Output;
  readonly writer: PageWriter;
  readonly #limits: PageLimits;
  /** Names that are taken: of families that are still held, in the order in which they go out, each one's together. */
  readonly #waiting = new Map<string, HeldFamily | HeldWhole>();
  /** Names that are taken: of families that have gone out. */
  readonly #gone = new Set<string>();
  readonly #keep: Keep;

  /** `room`: where the lines of its sources are looked at. */
  constructor(output: Output, writer: PageWriter, room: LineRoom, limits: PageLimits = pageLimits) {
    this.output = output;
    this.writer = writer;
    this.#keep = new Keep(room.bytes);
    this.#limits = limits;
  }

  /** Names that sources can't give, whatever they say. */
  reserve(names: readonly string[]): void {
    for (const name of names) this.#gone.add(name);
  }

  /**
   * A whole family of which nothing but its type is said, in the room, its type spelled as on this page: goes onto the
   * page as it stands, at once or in the end. False, and nothing has happened, when somebody has the name, or for want
   * of room: then it must be opened.
   */
  whole(tally: Tally, family: WholeFamily, hold: boolean, bytes: Buffer): boolean {
    const { name, first, to } = family;
    if (tally.opened >= this.#limits.families || this.#waiting.has(name)) return false;
    const taken = HELD_OVERHEAD + to - first;
    if (hold && to - first <= this.#limits.family && tally.held + taken <= this.#limits.held)
      return this.#keepWhole(tally, family, taken);
    // One look instead of two: names come by the thousand.
    const before = this.#gone.size;
    if (this.#gone.add(name).size === before) return false;
    tally.opened++;
    this.#pass(tally, family, bytes, family.at, to);
    return true;
  }

  #keepWhole(tally: Tally, family: WholeFamily, taken: number): boolean {
    const { name, at, to } = family;
    const start = this.#gone.has(name) ? undefined : this.#keep.take(at, to);
    if (start === undefined) return false;
    this.#waiting.set(name, new HeldWhole(tally, family, start));
    tally.held += taken;
    tally.opened++;
    return true;
  }

  #pass(tally: Tally, { samples }: WholeFamily, bytes: Buffer, start: number, end: number): void {
    tally.families++;
    tally.samples += samples;
    this.writer.append(bytes, start, end);
  }

  /** A family of a source, at its first sample; `wanted`: its name on this page. `filter`: see HoldHooks. Throws CutOff when there are too many. */
  open(tally: Tally, metadata: Metadata, wanted: Naming, hold: boolean, filter: Filter): Opened {
    const before = this.#heldFor(wanted.family);
    if (before !== undefined && (isSameFamily(before, wanted) || this.#areItsTimes(before, wanted, tally)))
      return { naming: wanted, sink: this.#joining(before, tally), alone: false };
    const naming = this.#free(wanted) ? wanted : this.#plainer(wanted, metadata);
    if (naming === undefined) return { naming: wanted, sink: new DropSink(tally, wanted.family), alone: false };
    if (++tally.opened > this.#limits.families)
      throw new CutOff("too_many_families", `its page has more than ${this.#limits.families} families`);
    const sink = hold ? this.#holding(naming, metadata, tally, filter) : this.#streaming(naming, metadata, tally);
    return { naming, sink, alone: true };
  }

  /** What is held under this name, fit to be joined. */
  #heldFor(family: string): HeldFamily | undefined {
    const held = this.#waiting.get(family);
    if (!(held instanceof HeldWhole)) return held;
    const { form, escaping } = this.output;
    const opened = held.opened(this.#keep.bytes, (metadata) => nameFamily(metadata, "text", form, escaping));
    this.#waiting.set(family, opened);
    return opened;
  }

  /** What is a family of its own in the text format (`x_created`, a gauge) belongs to `x` in OpenMetrics. */
  #areItsTimes({ naming, tally }: HeldFamily, wanted: Naming, from: Tally): boolean {
    const counts = naming.type === "counter" || naming.type === "histogram" || naming.type === "summary";
    const times = wanted.type === "gauge" || wanted.type === "unknown";
    const named = wanted.family === `${naming.family}_created`;
    return this.output.form === "openmetrics" && tally === from && counts && times && named;
  }

  #free({ claims }: Naming): boolean {
    for (const name of claims) if (this.#waiting.has(name) || this.#gone.has(name)) return false;
    return true;
  }

  /** A counter whose family name is taken may still go out under its sample's name, as a family without a type. */
  #plainer(wanted: Naming, { name }: Metadata): Naming | undefined {
    if (this.output.form !== "openmetrics" || wanted.type !== "counter" || !isPlainName(name)) return undefined;
    const only = asUnknown(`${wanted.family}_total`);
    const suffixes = wanted.suffixes.filter((one) => one.kind === "total");
    return this.#free(only) ? { ...only, suffixes } : undefined;
  }

  #streaming(naming: Naming, metadata: Metadata, tally: Tally): Sink {
    for (const name of naming.claims) this.#gone.add(name);
    // The groups of a state set can't be checked line by line.
    const unchecked = naming.type === "stateset" && this.output.form === "openmetrics";
    const said = unchecked ? asUnknown(naming.family) : naming;
    return this.#stream(tally, said, metadata);
  }

  #stream(tally: Tally, naming: Naming, metadata: Metadata): StreamSink {
    return new StreamSink(this.writer, tally, naming, metadata, this.output.form === "openmetrics");
  }

  #heading(naming: Naming, metadata: Metadata): string {
    return heading(naming, metadata, this.output.form === "openmetrics");
  }

  #holding(naming: Naming, metadata: Metadata, tally: Tally, filter: Filter): Sink {
    const family = new HeldFamily(naming, metadata, tally);
    if (!this.#takeRoom(tally, HELD_OVERHEAD)) return this.#streaming(naming, metadata, tally);
    family.taken = HELD_OVERHEAD;
    for (const name of naming.claims) this.#waiting.set(name, family);
    return new HoldSink(family, {
      room: (bytes) => {
        const fits = family.own.length + bytes <= this.#limits.family && this.#takeRoom(tally, bytes);
        if (fits) family.taken += bytes;
        return fits;
      },
      overflow: () => this.#release(family),
      filter: (bytes, sink) => filter(naming, metadata, bytes, sink),
    });
  }

  /** A held family that grew too large; samples can't join it any more. */
  #release(family: HeldFamily): Sink {
    const { naming, metadata, tally } = family;
    for (const name of naming.claims) this.#waiting.delete(name);
    // As if it had not been held: what is held must not depend on the pieces in which the page came.
    tally.held -= family.taken;
    for (const { tally: other, lines } of family.joined) {
      other.held -= lines.length;
      other.dropFrom(naming.family, lines.samples);
    }
    return this.#streaming(naming, metadata, tally);
  }

  #joining(family: HeldFamily, tally: Tally): Sink {
    const room = (bytes: number): boolean => {
      const joined = family.joined.reduce((sum, one) => sum + one.lines.length, 0);
      return joined + bytes <= this.#limits.family && this.#takeRoom(tally, bytes);
    };
    return new JoinSink(family, tally, room);
  }

  #takeRoom(tally: Tally, bytes: number): boolean {
    if (tally.held + bytes > this.#limits.held) return false;
    tally.held += bytes;
    return true;
  }

  /** A family that another one brought along; its name was claimed with that one's. */
  aside(name: string, lines: LineStore, tally: Tally, metadata: Metadata): void {
    const naming: Naming = { ...asUnknown(name), type: "gauge", typeWord: "gauge" };
    const sink = this.#stream(tally, naming, metadata);
    sink.append(lines.bytes, 0, lines.length, lines.samples);
  }

  /** Writes what was held. After it, only lines of our own may follow. */
  finish(): void {
    let last: HeldFamily | HeldWhole | undefined;
    for (const one of this.#waiting.values()) {
      if (one instanceof HeldWhole) this.#pass(one.tally, one.family, this.#keep.bytes, one.start, one.end);
      else if (one !== last) this.#write(one);
      last = one;
    }
    this.#waiting.clear();
  }

  #write(family: HeldFamily): void {
    const { naming, metadata, tally, own, unclean, escaped, joined } = family;
    if (!unclean && !escaped && joined.length === 0) {
      const sink = this.#stream(tally, naming, metadata);
      if (own.samples > 0) sink.append(own.bytes, 0, own.length, own.samples);
      return;
    }
    for (const part of arrange(family, this.output)) {
      this.writer.text(this.#heading(part.naming, metadata));
      tally.families++;
      for (const { line, tally: from } of part.lines) {
        this.writer.text(`${line}\n`);
        from.samples++;
      }
    }
  }
}

const isSameFamily = ({ naming }: HeldFamily, wanted: Naming): boolean =>
  naming.family === wanted.family && naming.type === wanted.type;
