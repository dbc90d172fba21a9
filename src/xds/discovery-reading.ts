import { FieldScanner, fieldsOf } from "./field-scanner.ts";

/** State of the world or differences: the two forms of ADS. */
export type Variant = "sotw" | "delta";

/** What is understood of a request that Envoy sent. */
export interface RequestFacts {
  readonly typeUrl: string;
  /** Empty in a first request. */
  readonly nonce: string;
  /** Envoy's words when it refused the last response. */
  readonly error: string | undefined;
  /** The first names asked for; `names` is how many there were. */
  readonly someNames: readonly string[];
  readonly names: number;
  /** Bytes of the message. */
  readonly size: number;
}

/** What is understood of a response that goes to Envoy. */
export interface ResponseFacts {
  readonly typeUrl: string;
  readonly version: string;
  readonly nonce: string;
  readonly resources: number;
  readonly size: number;
}

const SMALL = 4_096;
const SHOWN_NAMES = 20;
/** Enough for the type at the front of a resource, with a version and a name before it. */
const PEEK = 1_024;
/** A tag, a length of one byte, and a type URL. */
const LONGEST_TYPE = 129;

const requestFields = {
  sotw: { names: 3, typeUrl: 4, nonce: 5, error: 6 },
  delta: { names: 3, typeUrl: 2, nonce: 6, error: 7 },
} as const;

/** Reads one request while it passes. */
export class RequestReader {
  readonly #scanner: FieldScanner;
  #typeUrl = "";
  #nonce = "";
  #error: string | undefined;
  #names = 0;
  readonly #someNames: string[] = [];
  readonly #size: number;

  constructor(variant: Variant, size: number) {
    const fields = requestFields[variant];
    this.#size = size;
    this.#scanner = new FieldScanner({
      collect: (field, occurrence) => {
        if (field === fields.names) return occurrence < SHOWN_NAMES ? SMALL : 0;
        return field === fields.typeUrl || field === fields.nonce || field === fields.error ? SMALL : 0;
      },
      onField: (field, start) => {
        if (field === fields.typeUrl) this.#typeUrl = start.toString();
        else if (field === fields.nonce) this.#nonce = start.toString();
        else if (field === fields.error) this.#error = errorText(start);
        else if (field === fields.names) {
          this.#names += 1;
          if (this.#someNames.length < SHOWN_NAMES) this.#someNames.push(start.toString());
        }
      },
    });
  }

  push(bytes: Buffer): void {
    this.#scanner.push(bytes);
  }

  facts(): RequestFacts {
    return {
      typeUrl: this.#typeUrl,
      nonce: this.#nonce,
      error: this.#error,
      someNames: this.#someNames,
      names: this.#names,
      size: this.#size,
    };
  }
}

/** google.rpc.Status: message=2. */
const errorText = (status: Buffer): string =>
  fieldsOf(status)
    .find(({ field }) => field === 2)
    ?.value.toString() ?? "no reason given";

/** Reads one response while it passes. */
export class ResponseReader {
  readonly #scanner: FieldScanner;
  readonly #size: number;
  #typeUrl: string | undefined;
  #resourceType: string | undefined;
  #version = "";
  #nonce = "";
  #resources = 0;

  constructor(variant: Variant, size: number) {
    this.#size = size;
    this.#scanner = new FieldScanner({
      collect: (field, occurrence) => {
        if (field === 2) return occurrence === 0 ? PEEK : 0;
        return field === 1 || field === 4 || field === 5 ? SMALL : 0;
      },
      onField: (field, start) => {
        if (field === 1) this.#version = start.toString();
        else if (field === 4) this.#typeUrl = start.toString();
        else if (field === 5) this.#nonce = start.toString();
        else if (field === 2) {
          this.#resources += 1;
          if (start.length > 0) this.#resourceType = typeInside(variant, start);
        }
      },
    });
  }

  push(bytes: Buffer): void {
    this.#scanner.push(bytes);
  }

  /**
   * The type as soon as it can be told: senders write fields in order, so the type itself comes behind all resources,
   * but the first resource carries it at its front.
   */
  get typeUrl(): string | undefined {
    return this.#typeUrl ?? this.#resourceType;
  }

  facts(): ResponseFacts {
    return {
      typeUrl: this.#typeUrl ?? this.#resourceType ?? "",
      version: this.#version,
      nonce: this.#nonce,
      resources: this.#resources,
      size: this.#size,
    };
  }
}

/** The type of an Any, or of the Any inside a delta Resource, of which only the first bytes are there. */
function typeInside(variant: Variant, start: Buffer): string | undefined {
  const any = variant === "sotw" ? start : fieldsOf(start, LONGEST_TYPE).find(({ field }) => field === 2)?.value;
  const type = any === undefined ? undefined : firstText(any);
  return type?.includes("/") ? type : undefined;
}

/** Field 1 when it is whole; a cut-off one is no type. */
function firstText(any: Buffer): string | undefined {
  if (any[0] !== 0x0a) return undefined;
  const length = any[1] ?? 0x80;
  if (length >= 0x80 || any.length < 2 + length) return undefined;
  return any.subarray(2, 2 + length).toString();
}
