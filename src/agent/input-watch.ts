import type { Watched } from "../config/agent-config.ts";
import type { Clock, Millis } from "../foundation/time.ts";

/** The files that Envoy's start is made of. */
export interface WatchedInputs {
  readonly bootstrap: readonly string[];
  /** Undefined: the binary is not watched. */
  readonly binary: string | undefined;
}

export interface InputWatchDeps {
  readonly clock: Clock;
  /** Asked again at every look, because an input can name other inputs. */
  readonly inputs: () => WatchedInputs;
  /** What the file is now, so that two of its states can be told apart; undefined when it is not there. */
  readonly markOf: (path: string, what: Watched) => string | undefined;
  /** Watches the folders of these files, and calls `onEvent` when it is worth a look. */
  readonly folders: { follow(paths: readonly string[]): void; close(): void };
  readonly onChange: (what: Watched) => void;
  readonly onBug: (error: unknown) => void;
}

/** A file has to be another one, and to stay that way, this long. */
const SETTLED: Millis = 1_000;
/** Deleted and written again: the pause between the two is no change. */
const GONE: Millis = 10_000;

type Marks = ReadonlyMap<string, string | undefined>;

/** A difference that was seen, and since when it has looked like this. */
interface Pending {
  readonly marks: Marks;
  readonly since: Millis;
}

/**
 * Tells when what Envoy is started with may have become something else. Events only lead to a look; a look compares;
 * and a difference counts when the next looks find it unchanged. So half-written files, symbolic links that turn,
 * renames, and deletion with a new file soon after are one change or none.
 */
export class InputWatch {
  readonly #deps: InputWatchDeps;
  #known: Readonly<Record<Watched, Marks>>;
  #pending: Readonly<Record<Watched, Pending | undefined>> = { bootstrap: undefined, binary: undefined };
  #cancel: (() => void) | undefined;
  #closed = false;

  /** Remembers how everything is now: make it before the inputs are read for the first start. */
  constructor(deps: InputWatchDeps) {
    this.#deps = deps;
    this.#known = { bootstrap: this.#look("bootstrap"), binary: this.#look("binary") };
  }

  start(): void {
    this.#follow();
    // Something may have changed since the constructor looked, before anybody watched.
    this.lookSoon();
  }

  /** Something happened in one of the folders. One look for many events, however often they come. */
  lookSoon(): void {
    if (this.#closed) return;
    this.#cancel ??= this.#deps.clock.after(SETTLED, () => {
      this.#cancel = undefined;
      try {
        this.#lookAgain();
      } catch (error) {
        this.#deps.onBug(error);
      }
    });
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#deps.folders.close();
  }

  #lookAgain(): void {
    this.#follow();
    for (const what of ["bootstrap", "binary"] as const) this.#compare(what);
    if (this.#pending.bootstrap !== undefined || this.#pending.binary !== undefined) this.lookSoon();
  }

  #compare(what: Watched): void {
    const now = this.#deps.clock.monotonic();
    const marks = this.#look(what);
    const known = adopted(this.#known[what], marks);
    this.#known = { ...this.#known, [what]: known };
    const changed = [...marks].filter(([path, mark]) => known.get(path) !== mark);
    const before = this.#pending[what];
    if (changed.length === 0) return this.#setPending(what, undefined);
    const since = before !== undefined && isSame(before.marks, marks) ? before.since : now;
    const patience = changed.some(([, mark]) => mark === undefined) ? GONE : SETTLED;
    if (now - since < patience) return this.#setPending(what, { marks, since });
    this.#known = { ...this.#known, [what]: marks };
    this.#setPending(what, undefined);
    this.#deps.onChange(what);
  }

  #setPending(what: Watched, pending: Pending | undefined): void {
    this.#pending = { ...this.#pending, [what]: pending };
  }

  #look(what: Watched): Marks {
    const { bootstrap, binary } = this.#deps.inputs();
    const paths = what === "bootstrap" ? bootstrap : binary === undefined ? [] : [binary];
    const marks = paths.map((path) => [path, this.#deps.markOf(path, what)] as const);
    // Nothing can be started from a binary that is away: it is the same one until another one is there.
    return new Map(what === "binary" ? marks.filter(([, mark]) => mark !== undefined) : marks);
  }

  #follow(): void {
    const { bootstrap, binary } = this.#deps.inputs();
    this.#deps.folders.follow(binary === undefined ? bootstrap : [...bootstrap, binary]);
  }
}

/** What is known, for the inputs of now. One that was named only since then was read by whoever named it. */
const adopted = (known: Marks, marks: Marks): Marks =>
  new Map([...known, ...[...marks].filter(([path]) => !known.has(path))]);

const isSame = (one: Marks, other: Marks): boolean =>
  one.size === other.size && [...one].every(([path, mark]) => other.has(path) && other.get(path) === mark);
