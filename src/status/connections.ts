import type { Millis } from "../foundation/time.ts";

export interface ConnectionLimits {
  /** More than this many connections: the oldest idle ones go. */
  readonly soft: number;
  /** Never more than this many, and `reserve` for loopback. */
  readonly hard: number;
  readonly reserve: number;
  /** A connection is not taken for idle before it had this long to say something, ms. */
  readonly grace: Millis;
}

/** Seen with ten thousand connections: 20 to 27 MB more, most of it code and heap that warmed up. */
export const connectionLimits: ConnectionLimits = { soft: 256, hard: 512, reserve: 64, grace: 30 };

/** The limits where only so many descriptors may be open: half of them are left for everybody else in this process. */
export function limitsFor(openFiles: number | undefined): ConnectionLimits {
  const { soft, hard, reserve, grace } = connectionLimits;
  const most = Math.max(8, Math.floor((openFiles ?? Number.POSITIVE_INFINITY) / 2));
  if (most >= hard + reserve) return connectionLimits;
  return {
    soft: Math.min(soft, Math.floor(most / 4)),
    hard: Math.floor(most * 0.8),
    reserve: Math.floor(most * 0.2),
    grace,
  };
}

interface Entry<S> {
  readonly socket: S;
  readonly source: Source<S>;
  since: Millis;
  busy: boolean;
}

interface Source<S> {
  readonly address: string;
  readonly entries: Set<Entry<S>>;
}

/**
 * Which connections are there and which must go when there are too many. A connection is idle while it has no request
 * in work: one that waits, or that sends its request drop by drop. The source with the most connections loses first,
 * its oldest first, so that a flood of ten thousand can't push out the one connection of a kubelet. Pure bookkeeping.
 */
export class Connections<S> {
  readonly #limits: ConnectionLimits;
  readonly #sources = new Map<string, Source<S>>();
  readonly #entries = new Map<S, Entry<S>>();

  constructor(limits: ConnectionLimits = connectionLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** After how long `sweep` finds something, ms. */
  get grace(): Millis {
    return this.#limits.grace;
  }

  all(): readonly S[] {
    return [...this.#entries.keys()];
  }

  /** More than we want to keep: `sweep` should be called after `grace`. */
  get crowded(): boolean {
    return this.#entries.size > this.#limits.soft;
  }

  /** A new connection; the result has to be closed, and may be the new one itself. */
  opened(socket: S, address: string, loopback: boolean, now: Millis): S | undefined {
    let drop: S | undefined;
    if (this.#entries.size >= this.#limits.hard) {
      drop = this.#worst(now, 0);
      const room = this.#limits.hard + (loopback ? this.#limits.reserve : 0);
      if (drop === undefined && this.#entries.size >= room) return socket;
    }
    const source = this.#sources.get(address) ?? { address, entries: new Set() };
    this.#sources.set(address, source);
    const entry = { socket, source, since: now, busy: false };
    source.entries.add(entry);
    this.#entries.set(socket, entry);
    return drop;
  }

  /** A request of this connection is in work, or the last one is done. */
  mark(socket: S, busy: boolean, now: Millis): void {
    const entry = this.#entries.get(socket);
    if (entry === undefined) return;
    entry.busy = busy;
    entry.since = now;
    // Sets keep their order: the one that was used last becomes the last of its source.
    entry.source.entries.delete(entry);
    entry.source.entries.add(entry);
  }

  closed(socket: S): void {
    const entry = this.#entries.get(socket);
    if (entry === undefined) return;
    this.#entries.delete(socket);
    entry.source.entries.delete(entry);
    if (entry.source.entries.size === 0) this.#sources.delete(entry.source.address);
  }

  /** The connections that have to be closed so that the soft limit holds again; they are out of the book already. */
  sweep(now: Millis): readonly S[] {
    const gone: S[] = [];
    while (this.#entries.size > this.#limits.soft) {
      const worst = this.#worst(now, this.#limits.grace);
      if (worst === undefined) break;
      gone.push(worst);
    }
    return gone;
  }

  /** All connections without a request in work. */
  idle(): readonly S[] {
    return [...this.#entries.values()].filter((one) => !one.busy).map((one) => one.socket);
  }

  /** Takes the oldest idle connection of the largest source that has one out of the book. */
  #worst(now: Millis, age: Millis): S | undefined {
    let worst: Entry<S> | undefined;
    for (const { entries } of this.#sources.values()) {
      if (worst !== undefined && entries.size <= worst.source.entries.size) continue;
      worst = oldestIdle(entries, now - age) ?? worst;
    }
    if (worst !== undefined) this.closed(worst.socket);
    return worst?.socket;
  }
}

/** The first in order that has no request in work and has not moved since `latest`. */
function oldestIdle<S>(entries: ReadonlySet<Entry<S>>, latest: Millis): Entry<S> | undefined {
  for (const entry of entries) if (!entry.busy && entry.since <= latest) return entry;
  return undefined;
}
