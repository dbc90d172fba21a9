import { framed } from "../protocol/grpc-status.ts";
import { isForEnvoy } from "../protocol/names.ts";
import {
  type RequestFacts,
  RequestReader,
  type ResponseFacts,
  ResponseReader,
  type Variant,
} from "./discovery-reading.ts";
import { FrameSplitter } from "./frame-splitter.ts";

/** Envoy's requests on their way to the control plane: bytes as they are, with our own requests in the gaps. */
export class RequestForwarder {
  readonly #send: (bytes: Buffer) => void;
  readonly #splitter: FrameSplitter;
  readonly #waiting: Buffer[] = [];
  #reader: RequestReader | undefined;

  constructor(variant: Variant, send: (bytes: Buffer) => void, onRequest: (facts: RequestFacts) => void) {
    this.#send = send;
    this.#splitter = new FrameSplitter({
      onStart: (size, compressed) => {
        this.#reader = compressed ? undefined : new RequestReader(variant, size);
      },
      onBody: (part) => this.#reader?.push(part),
      onEnd: () => {
        if (this.#reader !== undefined) onRequest(this.#reader.facts());
      },
    });
  }

  push(chunk: Buffer): void {
    this.#send(chunk);
    this.#splitter.push(chunk);
    this.#flush();
  }

  /** A request of our own: sent when Envoy is between two of its own. */
  inject(message: Uint8Array): void {
    this.#waiting.push(framed(message));
    this.#flush();
  }

  #flush(): void {
    if (!this.#splitter.atBoundary) return;
    for (const frame of this.#waiting.splice(0)) this.#send(frame);
  }
}

export interface ResponseEvents {
  /** Bytes for Envoy. */
  readonly send: (bytes: Buffer) => void;
  /** A message went to Envoy, whole. */
  readonly onForwarded: (facts: ResponseFacts) => void;
  /** A message that is not Envoy's: one that we asked for, or one that nobody did. */
  readonly onKept: (facts: ResponseFacts, message: Buffer) => void;
  /** A message that is changed on its way; the result goes to Envoy in its place. Until then nothing else does. */
  readonly rewrite: ((typeUrl: string) => ((message: Buffer) => Promise<Buffer>) | undefined) | undefined;
  /** Reading must stop until `onUnblocked`: a message is being rewritten. */
  readonly onBlocked: () => void;
  readonly onUnblocked: () => void;
  /** Message that is kept is too large, or a rewrite failed: the stream can't go on. */
  readonly onBroken: (why: string) => void;
}

/** Where the message that is passing goes. */
type Route = "undecided" | "forward" | "keep" | "rewrite";

/** The largest message that is not only passed on: those of our own types are small. */
const LARGEST_KEPT = 64 * 1024 * 1024;

/**
 * The control plane's responses on their way to Envoy. A message is held back only until its type is known, which is
 * within its first hundred bytes; then its bytes flow through.
 */
export class ResponseForwarder {
  readonly #events: ResponseEvents;
  readonly #splitter: FrameSplitter;
  #reader: ResponseReader | undefined;
  #route: Route = "undecided";
  #held: Buffer[] = [];
  #size = 0;
  #blocked: Buffer[] | undefined;

  constructor(variant: Variant, events: ResponseEvents) {
    this.#events = events;
    this.#splitter = new FrameSplitter({
      onStart: (size, compressed, head) => {
        this.#size = size;
        this.#held = [head];
        // A compressed message can't be read; we asked for none, so it is Envoy's.
        this.#reader = compressed ? undefined : new ResponseReader(variant, size);
        this.#route = "undecided";
        if (compressed) this.#decide("forward");
      },
      onBody: (part) => this.#onBody(part),
      onEnd: () => this.#onEnd(),
    });
  }

  push(chunk: Buffer): void {
    if (this.#blocked !== undefined) {
      this.#blocked.push(chunk);
      return;
    }
    for (let rest = chunk; rest.length > 0; ) {
      rest = this.#splitter.take(rest);
      // #onEnd may have blocked: what is left waits for the rewrite.
      const blocked = this.#blocked as Buffer[] | undefined;
      if (blocked !== undefined && rest.length > 0) {
        blocked.push(rest);
        return;
      }
    }
  }

  #onBody(part: Buffer): void {
    this.#reader?.push(part);
    if (this.#route === "forward") {
      this.#events.send(part);
      return;
    }
    this.#held.push(part);
    if (this.#route === "undecided" && this.#reader?.typeUrl !== undefined)
      this.#decide(this.#routeOf(this.#reader.typeUrl));
  }

  #routeOf(typeUrl: string): Route {
    if (!isForEnvoy(typeUrl)) {
      if (this.#size > LARGEST_KEPT) this.#events.onBroken(`${typeUrl}: ${this.#size} bytes are more than we take`);
      return "keep";
    }
    return this.#events.rewrite?.(typeUrl) === undefined ? "forward" : "rewrite";
  }

  #decide(route: Route): void {
    this.#route = route;
    if (route !== "forward") return;
    for (const part of this.#held) this.#events.send(part);
    this.#held = [];
  }

  #onEnd(): void {
    const facts = this.#reader?.facts() ?? { typeUrl: "", version: "", nonce: "", resources: 0, size: this.#size };
    if (this.#route === "undecided") this.#decide(facts.typeUrl === "" ? "forward" : this.#routeOf(facts.typeUrl));
    const held = this.#held;
    this.#held = [];
    if (this.#route === "forward") this.#events.onForwarded(facts);
    else if (this.#route === "keep") this.#events.onKept(facts, Buffer.concat(held).subarray(5));
    else this.#rewrite(facts, Buffer.concat(held).subarray(5));
  }

  #rewrite(facts: ResponseFacts, message: Buffer): void {
    const change = this.#events.rewrite?.(facts.typeUrl);
    if (change === undefined) return;
    this.#blocked = [];
    this.#events.onBlocked();
    change(message).then(
      (changed) => {
        this.#events.send(framed(changed));
        this.#events.onForwarded(facts);
        const waiting = this.#blocked ?? [];
        this.#blocked = undefined;
        for (const chunk of waiting) this.push(chunk);
        if (this.#blocked === undefined) this.#events.onUnblocked();
      },
      (error: unknown) => this.#events.onBroken(error instanceof Error ? error.message : String(error)),
    );
  }
}
