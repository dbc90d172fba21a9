/** HTTP/1.1 responses as bytes: where the head ends, what it says, where the body's pieces are (RFC 9112). Pure. */

export interface Head {
  readonly status: number;
  /** Names in lower case; repeated ones joined with ", ". */
  readonly headers: ReadonlyMap<string, string>;
}

/** The other side does not speak HTTP/1.1 as it should. */
export class NotHttp extends Error {
  override readonly name = "NotHttp";
}

const nothing = Buffer.alloc(0);
const LONGEST_HEAD = 64 * 1024;
const LONGEST_SIZE_LINE = 1024;

/** Collects a head, and what came behind it. */
export class HeadReader {
  #kept: Buffer = nothing;
  #rest: Buffer = nothing;

  /** The head once it is whole; interim ones (1xx) are passed over. Throws NotHttp. */
  push(bytes: Buffer): Head | undefined {
    let all = this.#kept.length === 0 ? bytes : Buffer.concat([this.#kept, bytes]);
    for (;;) {
      const end = endOfHead(all);
      if (end < 0) break;
      const head = parseHead(all.toString("latin1", 0, end));
      all = all.subarray(end);
      if (head.status >= 200) {
        this.#rest = all;
        return head;
      }
    }
    if (all.length > LONGEST_HEAD) throw new NotHttp(`its head has more than ${LONGEST_HEAD} bytes`);
    // A copy: the caller uses its buffer again.
    this.#kept = Buffer.from(all);
    return undefined;
  }

  /** The beginning of the body, that came with the head; given once. */
  takeRest(): Buffer {
    const rest = this.#rest;
    this.#rest = nothing;
    return rest;
  }
}

/** Behind the empty line; -1 when it is not here yet. A line may end with LF alone (RFC 9112 2.2). */
function endOfHead(bytes: Buffer): number {
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) {
    if (bytes[at + 1] === 10) return at + 2;
    if (bytes[at + 1] === 13 && bytes[at + 2] === 10) return at + 3;
  }
  return -1;
}

function parseHead(text: string): Head {
  const [first = "", ...lines] = text.replace(/\r?\n\r?\n$/, "").split(/\r?\n/);
  const status = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(first)?.[1];
  if (status === undefined) throw new NotHttp("it does not answer in HTTP/1.1");
  const headers = new Map<string, string>();
  for (const line of lines) {
    const found = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line);
    if (found === null) throw new NotHttp("its head has a line that is no header");
    const [, name = "", value = ""] = found;
    const before = headers.get(name.toLowerCase());
    headers.set(name.toLowerCase(), before === undefined ? value : `${before}, ${value}`);
  }
  return { status: Number(status), headers };
}

type Place =
  | { readonly in: "bytes"; left: number; readonly chunk: boolean }
  | { readonly in: "size line"; line: string }
  | { readonly in: "chunk end"; seen: number }
  | { readonly in: "trailers"; line: string; length: number }
  | { readonly in: "rest" }
  | { readonly in: "whole" };

/** Takes the framing off a body. */
export class BodyFraming {
  #place: Place;
  #broken: NotHttp | undefined;

  constructor({ status, headers }: Head) {
    const length = headers.get("content-length");
    if (status === 204 || status === 304) this.#place = { in: "whole" };
    else if (headers.has("transfer-encoding")) {
      if (headers.get("transfer-encoding")?.toLowerCase() !== "chunked")
        throw new NotHttp("its transfer encoding is unknown");
      this.#place = { in: "size line", line: "" };
    } else if (length === undefined) this.#place = { in: "rest" };
    else {
      const left = lengthOf(length);
      this.#place = left === 0 ? { in: "whole" } : { in: "bytes", left, chunk: false };
    }
  }

  /** The body is here to its end. Throws NotHttp when what came behind its good part can't be read. */
  get whole(): boolean {
    if (this.#broken !== undefined) throw this.#broken;
    return this.#place.in === "whole";
  }

  /** The body ends where the connection does. */
  get endsWithConnection(): boolean {
    return this.#place.in === "rest";
  }

  /**
   * What of `bytes` is body, as a view: it was moved together to their beginning, since a page in hundreds of small
   * chunks should cost its reader no more than one in a single piece. Throws NotHttp when there is none before the
   * place where the framing breaks; otherwise that before it is given, and `whole` and the next call throw.
   */
  push(bytes: Buffer): Buffer {
    if (this.#broken !== undefined) throw this.#broken;
    let length = 0;
    const keep = (start: number, end: number): void => {
      if (start > length) bytes.copyWithin(length, start, end);
      length += end - start;
    };
    try {
      let at = 0;
      while (at < bytes.length && this.#place.in !== "whole") at = this.#step(bytes, at, keep);
    } catch (error) {
      if (!(error instanceof NotHttp) || length === 0) throw error;
      this.#broken = error;
    }
    return bytes.subarray(0, length);
  }

  /** Goes on behind `at` to where it returns; `keep` gets what is body. */
  #step(bytes: Buffer, at: number, keep: (start: number, end: number) => void): number {
    const place = this.#place;
    switch (place.in) {
      case "whole":
        return bytes.length;
      case "rest":
        keep(at, bytes.length);
        return bytes.length;
      case "bytes": {
        const end = Math.min(bytes.length, at + place.left);
        keep(at, end);
        place.left -= end - at;
        if (place.left === 0) this.#place = place.chunk ? { in: "chunk end", seen: 0 } : { in: "whole" };
        return end;
      }
      case "chunk end":
        if (bytes[at] !== (place.seen === 0 ? 13 : 10)) throw new NotHttp("a chunk of its body has the wrong length");
        if (++place.seen === 2) this.#place = { in: "size line", line: "" };
        return at + 1;
      case "size line":
        return this.#sizeLine(bytes, at, place);
      case "trailers":
        return this.#trailers(bytes, at, place);
    }
  }

  #sizeLine(bytes: Buffer, at: number, place: Extract<Place, { in: "size line" }>): number {
    const end = bytes.indexOf(10, at);
    place.line += bytes.toString("latin1", at, end < 0 ? bytes.length : end);
    if (place.line.length > LONGEST_SIZE_LINE) throw new NotHttp("a chunk of its body has no size");
    if (end < 0) return bytes.length;
    const size = /^([0-9a-fA-F]{1,12})(?:[ \t]*;.*)?\r$/.exec(place.line)?.[1];
    if (size === undefined) throw new NotHttp("a chunk of its body has no size");
    const left = Number.parseInt(size, 16);
    this.#place = left === 0 ? { in: "trailers", line: "", length: 0 } : { in: "bytes", left, chunk: true };
    return end + 1;
  }

  /** Read and forgotten; the empty line ends them. */
  #trailers(bytes: Buffer, at: number, place: Extract<Place, { in: "trailers" }>): number {
    const end = bytes.indexOf(10, at);
    const part = bytes.toString("latin1", at, end < 0 ? bytes.length : end);
    place.line += part;
    place.length += part.length;
    if (place.length > LONGEST_HEAD) throw new NotHttp("its trailers are too long");
    if (end < 0) return bytes.length;
    if (place.line === "\r" || place.line === "") this.#place = { in: "whole" };
    else place.line = "";
    return end + 1;
  }
}

/** Repeated with the same value it counts once (RFC 9112 6.3). */
function lengthOf(text: string): number {
  const [first = "", ...others] = text.split(/[ \t]*,[ \t]*/);
  if (!/^\d{1,15}$/.test(first)) throw new NotHttp("its content length is no number");
  if (others.some((one) => one !== first)) throw new NotHttp("it names two content lengths");
  return Number(first);
}
