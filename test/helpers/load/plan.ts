/** What a load is, shared by the test's side and the program that makes it. */

/**
 * keep-alive: HTTP/1.1, one connection a client, used again and again. new-connection: HTTP/1.1, one a request.
 * http2: one session a client (h2c, or TLS), GOAWAY obeyed. tcp: one long connection a client to an echo server.
 */
export type LoadKind = "keep-alive" | "new-connection" | "http2" | "tcp";

export interface LoadTls {
  /** Files, PEM. Certificate and key for mTLS only. */
  readonly ca: string;
  readonly certificate?: string;
  readonly key?: string;
  /** Sent as SNI, and looked for in the server's certificate unless `anyName` (SPIFFE certificates name no host). */
  readonly serverName: string;
  readonly anyName?: boolean;
}

export interface LoadEntry {
  /** Name in the report; the kind unless said. */
  readonly name?: string;
  readonly kind: LoadKind;
  readonly port: number;
  readonly host?: string;
  /** "/" unless said. */
  readonly path?: string;
  readonly clients: number;
  /** Between an answer and the client's next request, ms. */
  readonly pause?: number;
  /** An answer that takes longer is a failure, ms; 10,000 unless said. */
  readonly timeout?: number;
  /** 200 unless said. */
  readonly status?: number;
  readonly tls?: LoadTls;
}

/**
 * refused: nobody listens. reset: the connection ended (RST, FIN, GOAWAY over our stream) before an answer began.
 * truncated: an answer began and was cut. wrong-status: a whole answer of another status. timed-out: none in time.
 * other: whatever else; `text` says what.
 */
export type FailureKind = "refused" | "reset" | "truncated" | "wrong-status" | "timed-out" | "other";
export const failureKinds: readonly FailureKind[] = [
  "refused",
  "reset",
  "truncated",
  "wrong-status",
  "timed-out",
  "other",
];

export interface LoadFailure {
  readonly entry: string;
  readonly what: FailureKind;
  /** Milliseconds of the calendar, with fractions: when the request began and when it failed. */
  readonly began: number;
  readonly failed: number;
  /** How long the connection had been open when it failed; undefined when it never was. */
  readonly connectionAge: number | undefined;
  /** Requests that this connection had carried before. */
  readonly requestsBefore: number;
  readonly text: string;
}

export interface EntryTally extends Readonly<Record<FailureKind, number>> {
  readonly requests: number;
  readonly ok: number;
  /** Connections opened. */
  readonly connections: number;
  /** The slowest good answer, ms. */
  readonly slowest: number;
}

export interface LoadTally {
  readonly entries: Readonly<Record<string, EntryTally>>;
  readonly failures: readonly LoadFailure[];
  /** Failures that are counted and not listed. */
  readonly unlisted: number;
}

/** Milliseconds of the calendar with fractions, comparable between processes of one machine. */
export const preciseNow = (): number => performance.timeOrigin + performance.now();

export type ToProgram =
  | { readonly tell: "start"; readonly entries: readonly LoadEntry[] }
  | { readonly tell: "tally"; readonly id: number }
  | { readonly tell: "stop" };
export type FromProgram =
  | { readonly say: "loaded" }
  | { readonly say: "started" }
  | { readonly say: "tally"; readonly id: number; readonly tally: LoadTally }
  | { readonly say: "stopped"; readonly tally: LoadTally };
