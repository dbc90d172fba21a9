import {
  type EntryTally,
  type FailureKind,
  failureKinds,
  type LoadEntry,
  type LoadFailure,
  type LoadTally,
  preciseNow,
} from "./plan.ts";

/** One connection's history, for the failures. */
export interface ConnectionFacts {
  opened: number | undefined;
  requests: number;
}

/** How a request went wrong. */
export class RequestFailed extends Error {
  override readonly name = "RequestFailed";
  readonly what: FailureKind;
  constructor(what: FailureKind, text: string) {
    super(text);
    this.what = what;
  }
}

const MOST_LISTED = 20_000;

/** Counts for all entries. */
export class Book {
  readonly #entries = new Map<string, { -readonly [K in keyof EntryTally]: EntryTally[K] }>();
  readonly #failures: LoadFailure[] = [];
  #unlisted = 0;

  add(entry: LoadEntry): void {
    const zero = Object.fromEntries(failureKinds.map((one) => [one, 0])) as Record<FailureKind, number>;
    this.#entries.set(nameOf(entry), { requests: 0, ok: 0, connections: 0, slowest: 0, ...zero });
  }

  connected(entry: LoadEntry): void {
    this.#of(entry).connections += 1;
  }

  /** Runs one request and counts how it ended. Never throws. */
  async count(entry: LoadEntry, connection: ConnectionFacts, request: () => Promise<void>): Promise<boolean> {
    const tally = this.#of(entry);
    const began = preciseNow();
    tally.requests += 1;
    try {
      await request();
      tally.ok += 1;
      tally.slowest = Math.max(tally.slowest, preciseNow() - began);
      connection.requests += 1;
      return true;
    } catch (error) {
      const what = error instanceof RequestFailed ? error.what : "other";
      tally[what] += 1;
      this.#list({
        entry: nameOf(entry),
        what,
        began,
        failed: preciseNow(),
        connectionAge: connection.opened === undefined ? undefined : preciseNow() - connection.opened,
        requestsBefore: connection.requests,
        text: error instanceof Error ? error.message : String(error),
      });
      return false;
    }
  }

  tally(): LoadTally {
    return { entries: Object.fromEntries(this.#entries), failures: this.#failures, unlisted: this.#unlisted };
  }

  #list(failure: LoadFailure): void {
    if (this.#failures.length < MOST_LISTED) this.#failures.push(failure);
    else this.#unlisted += 1;
  }

  #of(entry: LoadEntry): { -readonly [K in keyof EntryTally]: EntryTally[K] } {
    const found = this.#entries.get(nameOf(entry));
    if (found === undefined) throw new Error(`no entry ${nameOf(entry)}`);
    return found;
  }
}

export const nameOf = (entry: LoadEntry): string => entry.name ?? entry.kind;

/** What an error of a socket means when no byte of an answer has come. */
export function classify(error: Error, answerBegan: boolean): RequestFailed {
  if (error instanceof RequestFailed) return error;
  // A stream that is cancelled because its session could not be opened says why in its cause.
  const cause = error.cause as NodeJS.ErrnoException | undefined;
  const code = cause?.code ?? (error as NodeJS.ErrnoException).code ?? "";
  if (code === "ECONNREFUSED") return new RequestFailed("refused", code);
  if (answerBegan) return new RequestFailed("truncated", `${code} ${error.message}`);
  const cut = ["ECONNRESET", "EPIPE", "ECONNABORTED", "ERR_HTTP2_GOAWAY_SESSION", "ERR_HTTP2_STREAM_CANCEL"];
  const refusedStream = code === "ERR_HTTP2_STREAM_ERROR" || code === "ERR_HTTP2_SESSION_ERROR";
  if (cut.includes(code) || refusedStream) return new RequestFailed("reset", `${code} ${error.message}`);
  return new RequestFailed("other", `${code} ${error.message}`);
}
