import type { Log } from "../../foundation/log.ts";
import type { Millis } from "../../foundation/time.ts";
import type { DatagramSockets } from "../../system/datagram-sockets.ts";
import { Asker } from "./asker.ts";
import type { Place } from "./names.ts";

/*
 * Envoy's listen sockets, kept beside Envoy: while somebody holds them the kernel completes handshakes and queues the
 * connections, so an Envoy that is killed refuses nobody, and the next one takes the queue over (hot-restart.md 11).
 *
 * They are asked for like a child would ask: under the name of epoch N+1, one PassListenSocket for each address and
 * worker. That changes nothing in Envoy. Because the name is the next child's:
 *   - a child must not be exec'ed while `asking` is true: its name would be taken, or an answer of ours would reach it;
 *     await `settled()` first;
 *   - an Envoy that did not answer in time still owes an answer, and dies of it when nobody takes it: the socket stays
 *     bound (`owed`) until it comes, or until `forgetDebt()` because that Envoy is dead.
 *
 * A socket that is kept and that nobody accepts on makes callers hang instead of being refused. So: `refresh` whenever
 * listeners change, `dropUnclaimed` after an adoption, `drop` before Envoy closes its listeners and when we stop.
 */

export interface SocketKey {
  /** "tcp://127.0.0.1:80". */
  readonly address: string;
  /** 0 … concurrency - 1. Without enable_reuse_port all workers have the same socket. */
  readonly worker: number;
}

export interface Wanted {
  readonly addresses: readonly string[];
  /** Envoy's concurrency. */
  readonly workers: number;
}

export type RefreshOutcome =
  | {
      readonly is: "kept";
      readonly added: readonly SocketKey[];
      readonly dropped: readonly SocketKey[];
      /**
       * Wanted, and Envoy has no such socket (bind_to_port: false, gone meanwhile) or it is not a listening TCP socket.
       * Not asked for again while the address stays wanted: a mesh has thousands that are not bound.
       */
      readonly missing: readonly SocketKey[];
    }
  /** It hangs, or its main thread is very busy. What was kept before is still kept. */
  | { readonly is: "no-answer"; readonly waited: Millis }
  /** Nobody is bound to that Envoy's name: it is dead, or hot restart is off. */
  | { readonly is: "nobody" }
  /** `drop` was called meanwhile. */
  | { readonly is: "dropped" }
  /** The socket of the next epoch's child can't be bound, or the one of the Envoy can't be written to. */
  | { readonly is: "refused"; readonly why: string };

export interface RefreshOptions {
  /** How long each single request may take; 2 s unless said. */
  readonly perRequest?: Millis;
  /**
   * Ask for all again, and replace those that Envoy has meanwhile closed and opened anew (a listener that was removed
   * and came back between two looks has the same address and another socket).
   */
  readonly again?: boolean;
}

const PER_REQUEST: Millis = 2_000;

export class KeptSockets {
  readonly #sockets: DatagramSockets;
  readonly #log: Log;
  readonly #kept = new Map<string, { readonly key: SocketKey; readonly descriptor: number }>();
  /** Addresses for which Envoy has no socket. */
  readonly #without = new Set<string>();
  #lastEpoch: number | undefined;
  /** Rises with every drop: a refresh that began before it keeps nothing. */
  #generation = 0;
  #running: Promise<RefreshOutcome> | undefined;
  #asker: Asker | undefined;
  /** Of the refresh that runs now. */
  #asking: Asker | undefined;

  constructor(sockets: DatagramSockets, log: Log) {
    this.#sockets = sockets;
    this.#log = log;
  }

  get count(): number {
    return this.#kept.size;
  }

  keys(): readonly SocketKey[] {
    return [...this.#kept.values()].map(({ key }) => key);
  }

  /** The descriptor that is kept for this address and worker; still ours. */
  descriptorFor(address: string, worker: number): number | undefined {
    return this.#kept.get(nameOf({ address, worker }))?.descriptor;
  }

  /** True while the next child's name is ours: a refresh runs, or an answer is owed. */
  get asking(): boolean {
    return this.#running !== undefined || this.owed;
  }

  /** An Envoy that was asked has not answered yet. */
  get owed(): boolean {
    return this.#asker !== undefined;
  }

  /** Resolves when no refresh runs any more (at most one request's time). `owed` may still be true then. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /**
   * Asks the Envoy of `place` (its epoch is the serving one's) for the sockets that are wanted and not kept yet, and
   * drops those that are not wanted any more. One refresh at a time; the next waits for it. Never rejects for what
   * Envoy does.
   */
  async refresh(place: Place, wanted: Wanted, options: RefreshOptions = {}): Promise<RefreshOutcome> {
    // Chained at once, not after an await: two callers that waited for the same end would both begin.
    const before = this.#running ?? Promise.resolve();
    const run = before.then(() => this.#refresh(place, wanted, options));
    this.#running = run;
    try {
      return await run;
    } finally {
      if (this.#running === run) this.#running = undefined;
    }
  }

  async #refresh(place: Place, wanted: Wanted, options: RefreshOptions): Promise<RefreshOutcome> {
    const all = keysOf(wanted);
    const dropped = this.#dropAllBut(all);
    // Another Envoy may have other listeners under the same addresses.
    const stillWanted = new Set(options.again === true || place.epoch !== this.#lastEpoch ? [] : wanted.addresses);
    for (const one of this.#without) if (!stillWanted.has(one)) this.#without.delete(one);
    this.#lastEpoch = place.epoch;
    const toAsk = all.filter((key) => options.again === true || !this.#kept.has(nameOf(key)));
    const added: SocketKey[] = [];
    const failed = await this.#askForAll(place, toAsk, options.perRequest ?? PER_REQUEST, added);
    const missing = all.filter((key) => this.#without.has(key.address) && !this.#kept.has(nameOf(key)));
    return failed ?? { is: "kept", added, dropped, missing };
  }

  /** Asks for one after the other; what came is in `added`. Undefined when all were answered. */
  async #askForAll(
    place: Place,
    keys: readonly SocketKey[],
    limit: Millis,
    added: SocketKey[],
  ): Promise<RefreshOutcome | undefined> {
    const toAsk = keys.filter(({ address }) => !this.#without.has(address));
    if (toAsk.length === 0) return undefined;
    if (this.#asker !== undefined) return { is: "no-answer", waited: 0 };
    const generation = this.#generation;
    const asker = Asker.open(this.#sockets, place);
    if (!(asker instanceof Asker)) return { is: "refused", why: asker.why };
    this.#asking = asker;
    for (const key of toAsk) {
      // No worker has what one of them has not.
      if (this.#without.has(key.address)) continue;
      const answer = await asker.askForSocket(key.address, key.worker, limit);
      if (this.#asking !== asker) return this.#givenUp(typeof answer === "object" ? answer : "nobody");
      if (answer === "no-answer") return this.#waitForDebt(asker, limit);
      if (typeof answer !== "object" || generation !== this.#generation) {
        this.#asking = undefined;
        asker.close();
        return this.#givenUp(answer);
      }
      if (answer.descriptor === undefined) this.#forget(key);
      else if (this.#keep(key, answer.descriptor)) added.push(key);
    }
    this.#asking = undefined;
    asker.close();
    return undefined;
  }

  /**
   * The Envoy that was asked is dead: a refresh that runs ends without it, and the child's name is free at once. What
   * is kept stays.
   */
  abandon(): void {
    const asking = this.#asking;
    this.#asking = undefined;
    asking?.close();
    this.forgetDebt();
  }

  /** Envoy has none for this worker, so none for those after it either; one that we kept is nobody's any more. */
  #forget({ address, worker }: SocketKey): void {
    this.#without.add(address);
    for (const key of this.keys()) if (key.address === address && key.worker >= worker) this.#release(key);
  }

  #givenUp(answer: { readonly descriptor: number | undefined } | "nobody" | "forbidden"): RefreshOutcome {
    if (answer === "nobody") return { is: "nobody" };
    if (answer === "forbidden") return { is: "refused", why: "no right to write to Envoy's socket" };
    if (answer.descriptor !== undefined) this.#sockets.closeDescriptor(answer.descriptor);
    return { is: "dropped" };
  }

  /** The name stays bound until the answer comes. */
  #waitForDebt(asker: Asker, waited: Millis): RefreshOutcome {
    this.#asking = undefined;
    this.#asker = asker;
    asker.onLateAnswer(() => this.forgetDebt());
    return { is: "no-answer", waited };
  }

  /** Whoever owed an answer is dead (or its child was stood in for): gives the child's name back. */
  forgetDebt(): void {
    this.#asker?.close();
    this.#asker = undefined;
  }

  /** False when the very same kernel socket is kept already. */
  #keep(key: SocketKey, descriptor: number): boolean {
    const old = this.#kept.get(nameOf(key));
    if (old !== undefined && this.#sockets.identityOf(old.descriptor) === this.#sockets.identityOf(descriptor)) {
      this.#sockets.closeDescriptor(descriptor);
      return false;
    }
    this.#release(key);
    this.#kept.set(nameOf(key), { key, descriptor });
    return true;
  }

  /** After a new epoch has adopted sockets from us: lets go of those that it did not ask for. Gives them. */
  dropUnclaimed(claimed: readonly SocketKey[]): readonly SocketKey[] {
    return this.#dropAllBut(claimed);
  }

  /** Lets go of all, at once: before Envoy closes its listeners. A debt stays, its Envoy may be alive. */
  drop(): void {
    this.#generation += 1;
    this.#dropAllBut([]);
  }

  /** The end of it all: no Envoy is left. */
  close(): void {
    this.drop();
    this.forgetDebt();
  }

  #dropAllBut(keys: readonly SocketKey[]): readonly SocketKey[] {
    const stay = new Set(keys.map(nameOf));
    const leaving = this.keys().filter((key) => !stay.has(nameOf(key)));
    for (const key of leaving) this.#release(key);
    if (leaving.length > 0) this.#log.debug("let go of listen sockets", { count: leaving.length });
    return leaving;
  }

  #release(key: SocketKey): void {
    const found = this.#kept.get(nameOf(key));
    if (found === undefined) return;
    this.#kept.delete(nameOf(key));
    this.#sockets.closeDescriptor(found.descriptor);
  }
}

const nameOf = ({ address, worker }: SocketKey): string => `${address} ${worker}`;

function keysOf({ addresses, workers }: Wanted): readonly SocketKey[] {
  return [...new Set(addresses)].flatMap((address) =>
    Array.from({ length: workers }, (_, worker) => ({ address, worker })),
  );
}
