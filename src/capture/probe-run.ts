import { randomBytes } from "node:crypto";
import { type Millis, pause } from "../foundation/time.ts";
import { realClock } from "../system/clock.ts";
import {
  type Dial,
  type Dialed,
  dialAs,
  listenForTokens,
  receiveTokens,
  type TokenListener,
} from "../system/probe-sockets.ts";
import type { CaptureOptions } from "./capture-options.ts";
import type { Family } from "./cidr.ts";
import { type DialAs, identityFor } from "./identities.ts";
import type { OutsideDialer } from "./outside-dialer.ts";
import type { Place, Probe } from "./probes.ts";
import type { World } from "./world.ts";

export type Shown =
  | { readonly is: "proven" }
  | { readonly is: "failed"; readonly why: string }
  /** Nothing can be said by connections. */
  | { readonly is: "open"; readonly why: string };

/** Listeners by family and place; a reason where there could be none. */
export class Listeners {
  readonly #listeners = new Map<string, readonly TokenListener[]>();
  readonly #reasons = new Map<string, string>();

  async open(family: Family, place: Place, port: number, transparent: boolean): Promise<void> {
    const made = [
      await listenForTokens(family, port, transparent),
      ...(place === "dns" ? [await receiveTokens(family, port)] : []),
    ];
    const key = `${family} ${place}`;
    this.#listeners.set(
      key,
      made.filter((one): one is TokenListener => !("error" in one)),
    );
    for (const one of made)
      if ("error" in one)
        this.#reasons.set(key, one.error === "EADDRINUSE" ? `port ${port} is taken` : `port ${port}: ${one.error}`);
  }

  port(family: Family, place: Place): number {
    return this.#listeners.get(`${family} ${place}`)?.[0]?.port ?? 0;
  }

  /** Why there is nobody listening at a place, or undefined. */
  reason(family: Family, place: Place): string | undefined {
    return this.#reasons.get(`${family} ${place}`);
  }

  /** Where a token arrived. */
  placeOf(token: string): Place | undefined {
    for (const [key, listeners] of this.#listeners)
      if (listeners.some((one) => one.tokens.has(token))) return key.split(" ")[1] as Place;
    return undefined;
  }

  close(): void {
    for (const list of this.#listeners.values()) for (const one of list) one.close();
  }
}

/** What a connection that is not captured may take; one that is captured takes a millisecond or two. */
const NOT_CAPTURED: Millis = 250;
/** One round's patience for an answer of any kind. */
const ARRIVES: Millis = 1_000;
/** The same for somebody outside, whose program has to start first and who cannot tell us of a refusal. */
const ARRIVES_FROM_OUTSIDE: Millis = 1_500;
const LOOK_EVERY: Millis = 5;

interface Running {
  readonly probe: Probe;
  readonly token: string;
  readonly dialed: Dialed | undefined;
}

/** Makes every connection once and says what each showed. */
export async function runProbes(
  probes: readonly Probe[],
  options: CaptureOptions,
  listeners: Listeners,
  outside: OutsideDialer | undefined,
  world: World,
): Promise<ReadonlyMap<Probe, Shown>> {
  const shown = new Map<Probe, Shown>();
  const groups = new Map<string, { as: DialAs | "outside"; probes: Probe[] }>();
  for (const probe of probes) {
    const as = probe.dialer.is === "outside" ? "outside" : identityFor(probe.dialer, options, world);
    const open = cannot(probe, as, listeners);
    if (open !== undefined) {
      shown.set(probe, { is: "open", why: open });
      continue;
    }
    const key = JSON.stringify(as);
    const group = groups.get(key) ?? { as, probes: [] };
    group.probes.push(probe);
    groups.set(key, group);
  }
  const running: Running[] = [];
  try {
    for (const { as, probes: list } of groups.values()) running.push(...(await start(as, list, listeners, outside)));
    await settle(running, listeners);
    for (const one of running) shown.set(one.probe, judge(one, listeners));
  } finally {
    for (const one of running) one.dialed?.close();
  }
  return shown;
}

function cannot(probe: Probe, as: DialAs | "outside", listeners: Listeners): string | undefined {
  if (as === undefined) return "this process may not become another user (CAP_SETUID, CAP_SETGID)";
  const place = "at" in probe.expect ? probe.expect.at : "notAt" in probe.expect ? probe.expect.notAt : undefined;
  return place === undefined ? undefined : listeners.reason(probe.family, place);
}

async function start(
  as: DialAs | "outside",
  probes: readonly Probe[],
  listeners: Listeners,
  outside: OutsideDialer | undefined,
): Promise<readonly Running[]> {
  const made = probes.map((probe) => {
    const token = `pilotfish-${randomBytes(12).toString("hex")}`;
    const port = probe.port === "direct" ? listeners.port(probe.family, "direct") : probe.port;
    const dial: Dial = { protocol: probe.protocol, host: probe.host, port, source: probe.source, token };
    return { probe, token, dial };
  });
  const dials = made.map((one) => one.dial);
  if (as === "outside") {
    outside?.dial(dials);
    return made.map(({ probe, token }) => ({ probe, token, dialed: undefined }));
  }
  const dialed = await dialAs(as === "self" ? undefined : as, dials);
  return made.map(({ probe, token }, index) => ({ probe, token, dialed: dialed[index] }));
}

/** Waits until all that should arrive did and all that should not had its time. */
async function settle(running: readonly Running[], listeners: Listeners): Promise<void> {
  const started = realClock.monotonic();
  for (;;) {
    const passed = realClock.monotonic() - started;
    if (!running.some((one) => isOpen(one, passed, listeners))) return;
    await pause(realClock, LOOK_EVERY);
  }
}

/** Whether something may still happen to a connection. */
function isOpen({ probe, token, dialed }: Running, passed: Millis, listeners: Listeners): boolean {
  if ("notAt" in probe.expect) return passed < NOT_CAPTURED;
  if ("refused" in probe.expect) return passed < ARRIVES && dialed?.outcome() === undefined;
  if (listeners.placeOf(token) !== undefined) return false;
  if (dialed === undefined) return passed < ARRIVES_FROM_OUTSIDE;
  return passed < (dialed.outcome() === undefined ? ARRIVES : NOT_CAPTURED);
}

const places: Readonly<Record<Place, string>> = {
  outbound: "Envoy's outbound port",
  inbound: "Envoy's inbound port",
  dns: "the DNS port",
  direct: "the application",
};

function judge({ probe, token, dialed }: Running, listeners: Listeners): Shown {
  const came = listeners.placeOf(token);
  const outcome = dialed?.outcome();
  const { expect } = probe;
  const where = came ? `it came to ${places[came]}` : `it came nowhere (${outcome ?? "no answer"})`;
  if ("refused" in expect)
    return outcome === "ECONNREFUSED"
      ? { is: "proven" }
      : { is: "failed", why: `it was not refused (${outcome ?? "no answer"})` };
  if ("at" in expect && came === expect.at) return { is: "proven" };
  if ("notAt" in expect && came === expect.notAt) return { is: "failed", why: where };
  if (outcome === "ENETUNREACH") return { is: "open", why: "there is no way to that address" };
  if ("at" in expect) return { is: "failed", why: where };
  return { is: "proven" };
}
