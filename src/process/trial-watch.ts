import type { Millis } from "../foundation/time.ts";
import type { EnvoyAdmin } from "./envoy-admin.ts";
import { addressesOf } from "./hot-restart/listen-addresses.ts";

export interface TrialDeps {
  readonly fresh: EnvoyAdmin;
  /** Undefined: the old one cannot be asked. */
  readonly old: EnvoyAdmin | undefined;
  readonly going: () => boolean;
  readonly wait: (delay: Millis, then: () => void) => void;
}

const LOOK: Millis = 1_000;
/** A new Envoy may take this long for listeners that the old one has: xDS comes in steps. */
const WITHOUT_LISTENERS = 5;
/** Fewer answers than these say nothing. */
const FEWEST_ANSWERS = 20;
/** More than this share of 5xx is bad ... */
const BAD_SHARE = 0.5;
/** ... unless the old one is nearly as bad: then it is the application's. */
const TIMES_WORSE = 2;

/**
 * Looks at an Envoy on probation once a second until it is over: undefined, or what is wrong with it. It has no
 * listeners where the old one has some, or most of its answers are 5xx and those of the old one are not.
 */
export async function watchTrial(deps: TrialDeps): Promise<string | undefined> {
  const before = { fresh: await answers(deps.fresh), old: deps.old && (await answers(deps.old)) };
  let lacking = 0;
  while (deps.going()) {
    await new Promise<void>((resolve) => deps.wait(LOOK, resolve));
    if (!deps.going()) return undefined;
    lacking = (await lacksListeners(deps)) ? lacking + 1 : 0;
    if (lacking >= WITHOUT_LISTENERS) return "it has no listeners, and the old one has";
    const bad = worse(
      since(before.fresh, await answers(deps.fresh)),
      since(before.old, deps.old && (await answers(deps.old))),
    );
    if (bad !== undefined) return bad;
  }
  return undefined;
}

interface Answers {
  readonly all: number;
  readonly bad: number;
}

const since = (before: Answers | undefined, now: Answers | undefined): Answers =>
  before === undefined || now === undefined
    ? { all: 0, bad: 0 }
    : { all: now.all - before.all, bad: now.bad - before.bad };

/** The judgement over the answers of both in the same time. Pure. */
export function worse(fresh: Answers, old: Answers): string | undefined {
  if (fresh.all < FEWEST_ANSWERS) return undefined;
  const [mine, theirs] = [fresh.bad / fresh.all, old.all === 0 ? 0 : old.bad / old.all];
  if (mine <= BAD_SHARE || mine < theirs * TIMES_WORSE) return undefined;
  return `${fresh.bad} of its ${fresh.all} answers were errors of the server, ${old.bad} of ${old.all} of the old one`;
}

/** Silence is not judged here: a dead one is found by its exit. */
async function answers(admin: EnvoyAdmin): Promise<Answers | undefined> {
  try {
    return await admin.responses();
  } catch {
    return undefined;
  }
}

async function lacksListeners({ fresh, old }: TrialDeps): Promise<boolean> {
  try {
    if (addressesOf(await fresh.listeners()).length > 0) return false;
    return old !== undefined && addressesOf(await old.listeners()).length > 0;
  } catch {
    return false;
  }
}
