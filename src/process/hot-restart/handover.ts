import { describeError, Unavailable } from "../../foundation/errors.ts";
import type { Log } from "../../foundation/log.ts";
import type { Clock } from "../../foundation/time.ts";
import type { DatagramSockets } from "../../system/datagram-sockets.ts";
import { KeptSockets } from "./kept-sockets.ts";
import type { Lineages } from "./lineages.ts";
import type { Place } from "./names.ts";
import { KNOWN_HOT_RESTART_VERSION, repairFlag } from "./shared-memory.ts";
import { StandInChild } from "./stand-in-child.ts";
import { StandInParent } from "./stand-in-parent.ts";
import { type ParentOrder, type Told, tellParent } from "./tell-parent.ts";

/** Of an Envoy: what its sockets are named after. */
export interface Member {
  readonly lineage: number;
  readonly epoch: number;
}

export interface HandoverDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly lineages: Lineages;
  /** Undefined where the native calls can't be had. Called when they are needed for the first time. */
  readonly sockets: () => DatagramSockets | undefined;
}

/**
 * Everything that passes between two Envoys with our help: listen sockets kept beside the serving one, stand-ins for
 * dead ones, the shared flag. All of it rests on the protocol version that we know; with another one it is not offered.
 */
export class Handover {
  /** What the serving Envoy says of its hot-restart protocol. */
  version: string | undefined;
  readonly #deps: HandoverDeps;
  readonly #kept: KeptSockets;
  #keptLineage = -1;
  #sockets: DatagramSockets | undefined;
  #parent: StandInParent | undefined;
  #child: StandInChild | undefined;
  #looked = false;
  /** Whose sockets were asked for last. */
  #asked: Member | undefined;

  constructor(deps: HandoverDeps) {
    this.#deps = deps;
    const later: DatagramSockets = lazily(() => this.#datagrams());
    this.#kept = new KeptSockets(later, deps.log);
  }

  get keptCount(): number {
    return this.#kept.count;
  }

  /** Sockets that the next epoch could adopt when this one dies now. */
  keptOf({ lineage }: Member): number {
    return this.#canSpeak() && this.#keptLineage === lineage ? this.keptCount : 0;
  }

  /** Keeps the listen sockets of the serving Envoy: `addresses` as its admin lists them. */
  async keep(of: Member, addresses: readonly string[], workers: number): Promise<void> {
    const place = this.#place(of);
    if (place === undefined || !this.#canSpeak()) return;
    if (this.#keptLineage !== of.lineage) this.#kept.drop();
    this.#keptLineage = of.lineage;
    this.#asked = of;
    const outcome = await this.#kept.refresh(place, { addresses, workers }, { again: true });
    if (outcome.is === "refused" || outcome.is === "no-answer")
      this.#deps.log.warn("Envoy's listen sockets are not kept", { epoch: of.epoch, outcome });
  }

  /** Before a child is started: no question of ours is under way under its name. Why it can't be, or undefined. */
  async quiet(): Promise<string | undefined> {
    await this.#kept.settled();
    return this.#kept.owed ? "the serving Envoy has not answered a question yet" : undefined;
  }

  /** Whatever was asked of this one has no answer any more; one that lives would die of an answer that nobody takes. */
  died(of: Member): void {
    if (this.#asked?.lineage === of.lineage && this.#asked.epoch === of.epoch) this.#kept.abandon();
  }

  drop(): void {
    this.#kept.drop();
  }

  /** A child is about to be started over a living parent. Throws Unavailable when it would not start. */
  beforeChild(of: Member): void {
    this.endStandIn();
    if (this.#kept.asking) throw new Unavailable("the serving Envoy has not answered a question yet");
    this.#clearFlag(of);
  }

  /**
   * Stands in for the dead parent of `child`, which will adopt the kept sockets, and for the same one as a child, should
   * its own parent still owe it an answer. Throws Unavailable when it can't be.
   */
  adopt(child: Member, onTerminated: () => void): void {
    this.endStandIn();
    const [sockets, dead] = [this.#datagrams(), this.#place({ ...child, epoch: child.epoch - 1 })];
    if (sockets === undefined || dead === undefined) throw new Unavailable("listen sockets cannot be handed over here");
    this.#kept.abandon();
    this.#clearFlag(child);
    this.#child = new StandInChild(sockets, dead);
    const standIn: StandInParent = new StandInParent(sockets, dead, {
      kept: this.#kept,
      onTerminate: () => {
        const left = this.#kept.dropUnclaimed(standIn.claimed);
        this.#deps.log.info("The new Envoy took over the listen sockets", {
          epoch: child.epoch,
          taken: standIn.claimed.length,
          letGo: left.length,
        });
        onTerminated();
      },
    });
    this.#parent = standIn;
  }

  /** Answers for a dead parent, so that its child goes on. Says whether it can. */
  standIn(dead: Member, onTerminated: () => void): boolean {
    this.endStandIn();
    const [sockets, place] = [this.#datagrams(), this.#place(dead)];
    if (sockets === undefined || place === undefined || !this.#canSpeak()) return false;
    try {
      this.#parent = new StandInParent(sockets, place, { onTerminate: onTerminated });
      return true;
    } catch (error) {
      this.#deps.log.warn("Cannot answer for the old Envoy", { epoch: dead.epoch, why: describeError(error) });
      return false;
    }
  }

  /** For a LIVE child whose question was lost with its parent. */
  freeChild(): void {
    if (this.#parent?.terminated === false) this.#parent.freeChild();
  }

  endStandIn(): void {
    this.#parent?.close();
    this.#parent = undefined;
    this.#child?.close();
    this.#child = undefined;
  }

  /** A child died before it was LIVE: what its parent owes it is taken, the flag is cleared. Why not, or undefined. */
  async mend(dead: Member): Promise<string | undefined> {
    const [sockets, place] = [this.#datagrams(), this.#place(dead)];
    if (place === undefined) return undefined;
    try {
      this.#clearFlag(dead);
      if (sockets === undefined) return undefined;
      const standIn = new StandInChild(sockets, place);
      this.#child = standIn;
      await standIn.done;
      return undefined;
    } catch (error) {
      return describeError(error);
    }
  }

  /** Tells an Envoy without an admin. */
  async tell(of: Member, order: ParentOrder): Promise<Told> {
    const [sockets, place] = [this.#datagrams(), this.#place(of)];
    return sockets === undefined || place === undefined ? "forbidden" : tellParent(sockets, place, order);
  }

  close(): void {
    this.endStandIn();
    this.#kept.close();
  }

  #canSpeak(): boolean {
    return this.version === KNOWN_HOT_RESTART_VERSION;
  }

  #place({ lineage, epoch }: Member): Place | undefined {
    const found = this.#deps.lineages.of(lineage);
    return found && { ...found, epoch, clock: this.#deps.clock, log: this.#deps.log };
  }

  #clearFlag({ lineage }: Member): void {
    const found = this.#deps.lineages.of(lineage);
    if (found === undefined) throw new Unavailable("hot restart is off");
    const repair = repairFlag(found, this.version);
    if (repair.is === "refused") throw new Unavailable(`cannot clear the flag of a dead child: ${repair.why}`);
    if (repair.is === "not-needed" && repair.state === "absent")
      throw new Unavailable("the shared memory of this lineage is gone");
  }

  #datagrams(): DatagramSockets | undefined {
    if (!this.#looked) this.#sockets = this.#deps.sockets();
    this.#looked = true;
    return this.#sockets;
  }
}

/** The native calls cost memory and time, which an Envoy that never restarts does not need before it is LIVE. */
function lazily(find: () => DatagramSockets | undefined): DatagramSockets {
  const found = (): DatagramSockets => {
    const sockets = find();
    if (sockets === undefined) throw new Unavailable("the native calls are not there");
    return sockets;
  };
  return {
    bind: (path, options) => found().bind(path, options),
    sendTo: (path, bytes) => found().sendTo(path, bytes),
    duplicate: (descriptor) => found().duplicate(descriptor),
    closeDescriptor: (descriptor) => found().closeDescriptor(descriptor),
    identityOf: (descriptor) => found().identityOf(descriptor),
    isListening: (descriptor) => found().isListening(descriptor),
  };
}
