import { describeError } from "../foundation/errors.ts";
import type { Log } from "../foundation/log.ts";
import { type Clock, type Millis, within } from "../foundation/time.ts";

/** What one contributor says: fine (perhaps with a remark), or not, and then why, in words. */
export type Standing =
  | { readonly ready: true; readonly note?: string }
  | { readonly ready: false; readonly reason: string };

/**
 * Somebody without whom we are not ready. A check that answers at once (no promise) is asked a second time when the
 * slow ones are through: what is known in this process, a drain for instance, is then as fresh as the answer.
 */
export interface Contributor {
  /** One word, as it appears before the reason: `envoy`, `cds`, `certificate`, `drain`. */
  readonly name: string;
  check(): Standing | Promise<Standing>;
}

export interface Judged {
  readonly name: string;
  readonly ready: boolean;
  /** The reason, or the remark of one that is ready; may be empty. */
  readonly text: string;
}

export interface Verdict {
  readonly ready: boolean;
  /** `name: reason` of the first contributor that is not ready; empty when ready. */
  readonly reason: string;
  /** All contributors in their order. */
  readonly contributors: readonly Judged[];
}

export interface ReadinessDeps {
  /** The most telling first: its reason is the one that a probe shows. */
  readonly contributors: readonly Contributor[];
  readonly clock: Clock;
  readonly log: Log;
  /** Hears what every probe is told, for the metrics. */
  readonly onVerdict?: (verdict: Verdict) => void;
  /** How long one contributor may take, ms. */
  readonly limit?: Millis;
}

/** The injected probes wait 3 s (capture-and-injection.md 5.1): the reason must be out before they give up. */
const LIMIT: Millis = 2_500;
/** A check that never ends is left alone after this, so that its contributor is asked again and nothing piles up. */
const GIVE_UP: Millis = 10 * LIMIT;
/** A verdict older than this says nothing of now: an Envoy that hangs since must not stand there as ready. */
const FRESH: Millis = 5_000;

/** The judge of readiness. Each judgement asks anew; the last one is kept for the log and for our own metrics. */
export class Readiness {
  readonly #deps: ReadinessDeps;
  readonly #pending = new Map<Contributor, { readonly since: Millis; readonly answer: Promise<Standing> }>();
  readonly #change: ChangeLog;
  #running: Promise<Verdict> | undefined;
  /** A probe waits for the judgement that is going on. */
  #probed = false;
  #last: { readonly ready: boolean; readonly at: Millis } | undefined;

  constructor(deps: ReadinessDeps) {
    this.#deps = deps;
    this.#change = new ChangeLog(deps.clock, deps.log);
  }

  /** Asks every contributor, for a probe. Whoever asks while that is going on gets the same answer. Never rejects. */
  judge(): Promise<Verdict> {
    this.#probed = true;
    return this.look();
  }

  /** The same, but nobody has probed: for our own metrics. */
  look(): Promise<Verdict> {
    this.#running ??= this.#judge().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Whether the last verdict was "ready" and is not too old to count. Asks nobody: for who must not wait. */
  get readyLately(): boolean {
    const last = this.#last;
    return last?.ready === true && this.#deps.clock.monotonic() - last.at <= FRESH;
  }

  async #judge(): Promise<Verdict> {
    const { contributors } = this.#deps;
    const first = contributors.map((one) => this.#ask(one));
    const slow = await Promise.all(first.map((one) => Promise.resolve(one)));
    const judged = contributors.map((one, index) => {
      const early = first[index];
      const standing = early instanceof Promise ? slow[index] : again(one, early);
      return judgedOf(one.name, standing);
    });
    const verdict = verdictOf(judged);
    this.#last = { ready: verdict.ready, at: this.#deps.clock.monotonic() };
    this.#change.hear(verdict);
    if (this.#probed) this.#deps.onVerdict?.(verdict);
    this.#probed = false;
    return verdict;
  }

  #ask(contributor: Contributor): Standing | Promise<Standing> {
    const { clock, limit = LIMIT } = this.#deps;
    const open = this.#pending.get(contributor);
    const mayWait = open !== undefined && clock.monotonic() - open.since < GIVE_UP;
    const answer = mayWait ? open.answer : guardedCheck(contributor);
    if (!(answer instanceof Promise)) return answer;
    if (!mayWait) this.#remember(contributor, answer);
    return within(clock, limit, answer).then((waited) =>
      waited.timedOut ? { ready: false, reason: `cannot tell: no answer within ${limit} ms` } : waited.value,
    );
  }

  #remember(contributor: Contributor, answer: Promise<Standing>): void {
    const entry = { since: this.#deps.clock.monotonic(), answer };
    this.#pending.set(contributor, entry);
    void answer.then(() => {
      if (this.#pending.get(contributor) === entry) this.#pending.delete(contributor);
    });
  }
}

const cannotTell = (error: unknown): Standing => ({ ready: false, reason: `cannot tell: ${describeError(error)}` });

/** A contributor that throws or rejects is not ready, with that as the reason. */
function guardedCheck(contributor: Contributor): Standing | Promise<Standing> {
  try {
    const answer = contributor.check();
    return answer instanceof Promise ? answer.catch(cannotTell) : answer;
  } catch (error) {
    return cannotTell(error);
  }
}

/** The second look at one that answered at once; if it needs time now, its first answer counts. */
function again(contributor: Contributor, early: Standing | undefined): Standing | undefined {
  const now = guardedCheck(contributor);
  return now instanceof Promise ? early : now;
}

function judgedOf(name: string, standing: Standing | undefined): Judged {
  if (standing === undefined) return { name, ready: false, text: "cannot tell" };
  return { name, ready: standing.ready, text: standing.ready ? (standing.note ?? "") : standing.reason };
}

function verdictOf(contributors: readonly Judged[]): Verdict {
  const first = contributors.find((one) => !one.ready);
  return {
    ready: first === undefined,
    reason: first === undefined ? "" : `${first.name}: ${first.text}`,
    contributors,
  };
}

/** Tells a change of readiness once, and how long the state before it lasted; never a line a probe. */
class ChangeLog {
  readonly #clock: Clock;
  readonly #log: Log;
  #known: { readonly ready: boolean; readonly reason: string; readonly since: Millis } | undefined;
  readonly #start: Millis;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
    this.#start = clock.monotonic();
  }

  hear(verdict: Verdict): void {
    const now = this.#clock.monotonic();
    const known = this.#known;
    if (known !== undefined && known.ready === verdict.ready) {
      if (known.reason !== verdict.reason) this.#log.debug("Still not ready", { reason: verdict.reason });
      this.#known = { ...known, reason: verdict.reason };
      return;
    }
    const ms = Math.round(now - (known?.since ?? this.#start));
    if (verdict.ready) this.#log.info("Ready", { notReadyForMs: ms });
    else if (known === undefined) this.#log.info("Not ready yet", { reason: verdict.reason });
    else this.#log.warn("Not ready any more", { reason: verdict.reason, readyForMs: ms });
    const since = known === undefined && !verdict.ready ? this.#start : now;
    this.#known = { ready: verdict.ready, reason: verdict.reason, since };
  }
}
