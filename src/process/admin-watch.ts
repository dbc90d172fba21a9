import type { Clock, Millis } from "../foundation/time.ts";
import type { EnvoyAdmin, ServerInfo } from "./envoy-admin.ts";

/** What is asked of an Envoy that is not LIVE yet, and what it answered last. */
export interface AdminWord {
  /** The admin's last answer. */
  readonly info: ServerInfo | undefined;
  /** Why the admin did not answer the last time; undefined when it did. */
  readonly silence: string | undefined;
}

export interface LiveWatchDeps {
  readonly clock: Clock;
  readonly admin: EnvoyAdmin;
  readonly epoch: number;
  /** False ends the watching. */
  readonly wanted: () => boolean;
  /** Of a child: whether its flag in shared memory is set; undefined when it can't be read. */
  readonly flag: (() => boolean | undefined) | undefined;
  readonly wait: (delay: Millis, then: () => void) => void;
  readonly onWord: (word: AdminWord) => void;
}

/** A child's commit is seen within so many ms: from then on its parent takes no connection. */
const LONGEST_WAIT_OF_CHILD: Millis = 20;
const LONGEST_WAIT: Millis = 200;

/**
 * Resolves with true when Envoy is LIVE: its admin says so with its epoch, or the shared flag was set and is clear again
 * (hot-restart.md 10), which is the same moment and needs no admin. False when it is not wanted any more. Looks often at
 * first, since every millisecond here is one of the pod's start; then less often.
 */
export async function untilLive(deps: LiveWatchDeps): Promise<boolean> {
  const longest = deps.flag === undefined ? LONGEST_WAIT : LONGEST_WAIT_OF_CHILD;
  let wasSet = false;
  for (let wait = 5; deps.wanted(); wait = Math.min(wait * 1.2, longest)) {
    const flag = deps.flag?.();
    if (wasSet && flag === false) return true;
    wasSet ||= flag === true;
    const info = await ask(deps.admin, deps.onWord);
    if (!deps.wanted()) return false;
    if (info?.state === "LIVE" && info.epoch === deps.epoch) return true;
    await new Promise<void>((resolve) => deps.wait(wait, resolve));
  }
  return false;
}

/** The admin's word; never rejects. */
export async function ask(admin: EnvoyAdmin, onWord: (word: AdminWord) => void): Promise<ServerInfo | undefined> {
  try {
    const info = await admin.serverInfo();
    onWord({ info, silence: undefined });
    return info;
  } catch (error) {
    onWord({ info: undefined, silence: (error as Error).message });
    return undefined;
  }
}
