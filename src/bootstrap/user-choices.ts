import type { JsonObject } from "../config/agent-config.ts";

/** What the user's files say that the rendering has to respect. */
export interface UserChoices {
  /** The override, parsed; undefined when there is none. */
  readonly override: JsonObject | undefined;
  /** Addresses of host names that Envoy can't look up itself. */
  readonly resolved: ReadonlyMap<string, string>;
}

export const noChoices: UserChoices = { override: undefined, resolved: new Map() };
