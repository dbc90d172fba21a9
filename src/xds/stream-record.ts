import { shortType, typeUrls } from "../protocol/names.ts";
import type { RequestFacts, ResponseFacts } from "./discovery-reading.ts";
import type { TypeStatus } from "./xds-status.ts";

interface Entry {
  readonly typeUrl: string;
  requests: number;
  responses: number;
  names: readonly string[];
  version: string;
  nonce: string;
  resources: number;
  bytes: number;
  acked: string | undefined;
  nack: string | undefined;
}

/** Without names, or with "*", these two ask for everything: readiness and the watchdog look at them. */
export const isFirstWildcard = ({ typeUrl, nonce, names, someNames }: RequestFacts): boolean =>
  (typeUrl === typeUrls.cluster || typeUrl === typeUrls.listener) &&
  nonce === "" &&
  (names === 0 || someNames.includes("*"));

/** What went over one stream, type by type: for status, readiness and logs. */
export class StreamRecord {
  readonly #types = new Map<string, Entry>();

  #entry(typeUrl: string): Entry {
    const known = this.#types.get(typeUrl);
    if (known !== undefined) return known;
    const fresh: Entry = {
      typeUrl,
      requests: 0,
      responses: 0,
      names: [],
      version: "",
      nonce: "",
      resources: 0,
      bytes: 0,
      acked: undefined,
      nack: undefined,
    };
    this.#types.set(typeUrl, fresh);
    return fresh;
  }

  /** Returns Envoy's words when this request refuses the last response. */
  request(facts: RequestFacts): string | undefined {
    const entry = this.#entry(facts.typeUrl);
    entry.requests += 1;
    if (facts.names > 0) entry.names = facts.someNames;
    else if (isFirstWildcard(facts)) entry.names = ["*"];
    if (facts.nonce === "" || facts.nonce !== entry.nonce) return undefined;
    entry.nack = facts.error;
    if (facts.error === undefined) entry.acked = entry.version;
    return facts.error;
  }

  response(facts: ResponseFacts): void {
    const entry = this.#entry(facts.typeUrl);
    entry.responses += 1;
    entry.version = facts.version;
    entry.nonce = facts.nonce;
    entry.resources = facts.resources;
    entry.bytes = facts.size;
  }

  received(typeUrl: string): boolean {
    return (this.#types.get(typeUrl)?.responses ?? 0) > 0;
  }

  status(): readonly TypeStatus[] {
    return [...this.#types.values()].map(({ nonce: _nonce, ...entry }) => ({
      ...entry,
      type: shortType(entry.typeUrl),
    }));
  }
}
