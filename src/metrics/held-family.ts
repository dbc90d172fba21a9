import type { Metadata } from "./exposition.ts";
import type { Naming } from "./naming.ts";
import { LineStore, type Sink } from "./sinks.ts";
import type { Tally } from "./tally.ts";

/**
 * A small family that waits for the end of the page, so that samples of later sources can join it. Bounded: the
 * first source's lines by `limits.family`, and all that join it by as much again.
 */
export class HeldFamily {
  readonly naming: Naming;
  readonly metadata: Metadata;
  readonly tally: Tally;
  readonly own = new LineStore();
  readonly joined: Joined[] = [];
  /** A sample breaks a rule of the type; the family is looked at sample by sample in the end. */
  unclean = false;
  /** A name was written anew: series that were different may be the same now. */
  escaped = false;
  /** What it takes of its source's allowance. */
  taken = 0;

  constructor(naming: Naming, metadata: Metadata, tally: Tally) {
    this.naming = naming;
    this.metadata = metadata;
    this.tally = tally;
  }
}

export interface Joined {
  readonly tally: Tally;
  readonly lines: LineStore;
}

export interface HoldHooks {
  /** Whether that many bytes more may be held; takes them off the allowance. */
  readonly room: (bytes: number) => boolean;
  /** It is no longer held: the place where its lines go from now on. */
  readonly overflow: () => Sink;
  /** Lets only what keeps the rules of the type through to `sink`. */
  readonly filter: (bytes: Buffer, sink: Sink) => void;
}

/** Lines of the family's own source. When there is no room for more, all of it goes out and is held no longer. */
export class HoldSink implements Sink {
  readonly #family: HeldFamily;
  readonly #hooks: HoldHooks;
  #instead: Sink | undefined;

  constructor(family: HeldFamily, hooks: HoldHooks) {
    this.#family = family;
    this.#hooks = hooks;
  }

  get strict(): boolean {
    return this.#instead !== undefined;
  }

  append(bytes: Uint8Array, start: number, end: number, samples: number): void {
    if (this.#instead !== undefined) return this.#instead.append(bytes, start, end, samples);
    const { own, unclean } = this.#family;
    const fits = this.#hooks.room(end - start);
    if (fits || unclean) own.add(bytes, start, end, samples);
    if (fits) return;
    const sink = this.#hooks.overflow();
    this.#instead = sink;
    if (unclean) this.#hooks.filter(own.bytes, sink);
    else {
      sink.append(own.bytes, 0, own.length, own.samples);
      sink.append(bytes, start, end, samples);
    }
    own.clear();
  }

  headed(): void {
    // Held lines get their heading when they go out.
  }

  unclean(): void {
    this.#family.unclean = true;
  }

  escaped(): void {
    this.#family.escaped = true;
  }
}

/**
 * Lines of another source (or of the same one, later on its page) for a family that is still held: all of them, or none
 * if they are too many. So it does not matter in how many pieces they come.
 */
export class JoinSink implements Sink {
  readonly strict = false;
  readonly #family: HeldFamily;
  readonly #part: Joined;
  readonly #room: (bytes: number) => boolean;
  #refused = false;

  /** `room`: as in HoldHooks. */
  constructor(family: HeldFamily, tally: Tally, room: (bytes: number) => boolean) {
    this.#family = family;
    this.#part = { tally, lines: new LineStore() };
    this.#room = room;
    family.joined.push(this.#part);
  }

  append(bytes: Uint8Array, start: number, end: number, samples: number): void {
    const { tally, lines } = this.#part;
    if (!this.#refused && this.#room(end - start)) return lines.add(bytes, start, end, samples);
    if (!this.#refused) this.#refuse();
    tally.dropFrom(this.#family.naming.family, samples);
  }

  #refuse(): void {
    const { tally, lines } = this.#part;
    this.#refused = true;
    tally.dropFrom(this.#family.naming.family, lines.samples);
    tally.held -= lines.length;
    this.#family.joined.splice(this.#family.joined.indexOf(this.#part), 1);
    lines.clear();
  }

  headed(): void {
    // The held family has one.
  }

  unclean(): void {
    // Every joined sample is looked at in the end.
  }

  escaped(): void {
    this.#family.escaped = true;
  }
}
