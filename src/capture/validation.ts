import { type Millis, pause } from "../foundation/time.ts";
import { realClock } from "../system/clock.ts";
import { hasRoute } from "../system/probe-sockets.ts";
import type { AllOptions } from "./capture-options.ts";
import { type Family, formatAddress, parseAddress } from "./cidr.ts";
import { type Finding, findDrift } from "./drift.ts";
import { ruleText } from "./explain.ts";
import { type PodFacts, podAddresses } from "./facts.ts";
import { capturedFamilies } from "./ipv6-policy.ts";
import { enginesWithOurs, readKernel } from "./kernel-state.ts";
import { readRoutes } from "./mark-route.ts";
import type { Rule } from "./model.ts";
import { makeOutside, type OutsideDialer } from "./outside-dialer.ts";
import { Listeners, runProbes, type Shown } from "./probe-run.ts";
import { type Probe, planProbes } from "./probes.ts";
import { provenRules } from "./proven-rules.ts";
import { readFacts } from "./read-facts.ts";
import type { Plan } from "./rules.ts";
import type { Outcome, Speech } from "./run-capture.ts";
import { capability, hasCapability, type World } from "./world.ts";

/** Between two rounds: rules that a CNI plugin loads may come a moment after the container. */
const NEXT_ROUND: Millis = 200;

interface Result {
  readonly shown: ReadonlyMap<Probe, Shown>;
  /** undefined: the rules could not be read. */
  readonly drift: readonly Finding[] | undefined;
}

/**
 * Proves the plan by connections that carry a nonce, and compares what connections cannot show by reading the rules.
 * It tries until all is well or the time is over; then it says what was proven, what only read, and what is wrong.
 */
export async function validateCapture(plan: Plan, options: AllOptions, world: World, speech: Speech): Promise<Outcome> {
  const { capture, run } = options;
  const facts = await readFacts(world);
  const families = capturedFamilies(plan.ipv6);
  const listeners = new Listeners();
  const outside = await makeOutside(families, world);
  const dialer = "why" in outside ? undefined : outside;
  try {
    for (const family of families) {
      await listeners.open(family, "outbound", capture.outboundPort, false);
      await listeners.open(family, "inbound", capture.inboundPort, plan.route !== undefined);
      await listeners.open(family, "direct", 0, false);
      if (capture.dns !== "off") await listeners.open(family, "dns", capture.dnsPort, false);
    }
    const away = await awayAddresses(facts, options, world);
    const podSeenFromOutside = dialer?.pod ?? {};
    const probes = planProbes({ options: capture, facts, plan, probePort: run.probePort, away, podSeenFromOutside });
    const result = await rounds(probes, plan, options, listeners, dialer, world);
    return report(plan, facts, options, result, "why" in outside ? outside.why : undefined, speech);
  } finally {
    listeners.close();
    await dialer?.done();
  }
}

async function rounds(
  probes: readonly Probe[],
  plan: Plan,
  options: AllOptions,
  listeners: Listeners,
  outside: OutsideDialer | undefined,
  world: World,
): Promise<Result> {
  const end = realClock.monotonic() + options.run.probeTimeout;
  for (;;) {
    const drift = await readBack(plan, options, world);
    const shown = await runProbes(probes, options.capture, listeners, outside, world);
    const failed = [...shown.values()].some((one) => one.is === "failed");
    if ((!failed && (drift ?? []).length === 0) || realClock.monotonic() + NEXT_ROUND > end) return { shown, drift };
    await pause(realClock, NEXT_ROUND);
  }
}

async function readBack(plan: Plan, options: AllOptions, world: World): Promise<readonly Finding[] | undefined> {
  if (!hasCapability(world, capability.netAdmin)) return undefined;
  const [state, routes] = await Promise.all([readKernel(world), readRoutes(world)]);
  const engine = options.run.engine ?? enginesWithOurs(state)[0] ?? "native";
  return findDrift(plan, state, routes, engine);
}

/**
 * An address outside of the pod to which the kernel knows a way that is not excluded: one of the documentation ranges
 * (nobody's), else a neighbour of the pod's own. Captured connections never get there.
 */
async function awayAddresses(
  facts: PodFacts,
  options: AllOptions,
  world: World,
): Promise<Partial<Record<Family, string>>> {
  const out: Partial<Record<Family, string>> = {};
  for (const family of ["v4", "v6"] as const) {
    const own = podAddresses(facts).filter((one) => one.family === family);
    const candidates = [family === "v4" ? "192.0.2.77" : "2001:db8::77", ...own.map((one) => neighbour(one.address))];
    for (const one of candidates) {
      if (out[family] !== undefined || own.some(({ address }) => address === one) || !(await hasRoute(one))) continue;
      if (await leavesByExcluded(one, options, world)) continue;
      out[family] = one;
    }
  }
  return out;
}

function neighbour(address: string): string {
  const parsed = parseAddress(address);
  return parsed === undefined ? address : formatAddress(parsed.family, parsed.value ^ 1n);
}

async function leavesByExcluded(host: string, options: AllOptions, world: World): Promise<boolean> {
  const excluded = options.capture.excludeInterfaces;
  if (excluded.length === 0) return false;
  const answer = await world.run("ip", ["-o", "route", "get", host]);
  const name = / dev (\S+)/.exec(answer.stdout)?.[1];
  const fits = (one: string): boolean =>
    one.endsWith("+") ? name?.startsWith(one.slice(0, -1)) === true : one === name;
  return name === undefined || excluded.some(fits);
}

function report(
  plan: Plan,
  facts: PodFacts,
  options: AllOptions,
  result: Result,
  whyNotOutside: string | undefined,
  speech: Speech,
): Outcome {
  const say = (text: string): void => speech.out(`validation: ${text}\n`);
  const by = (is: Shown["is"]): readonly (readonly [Probe, Shown])[] =>
    [...result.shown].filter(([, one]) => one.is === is);
  for (const [probe] of by("proven")) say(`proven: ${probe.label}`);
  for (const [probe, one] of by("failed")) {
    const rule = provenRules([probe], plan, facts, options.capture).at(-1);
    say(`FAILED: ${probe.label}: ${one.is === "failed" ? one.why : ""}${rule ? `; see ${ruleText(rule)}` : ""}`);
  }
  for (const finding of result.drift ?? []) say(`${finding.kind}: ${finding.text}`);
  for (const [probe, one] of by("open")) say(`not tried: ${probe.label}: ${one.is === "open" ? one.why : ""}`);
  if (whyNotOutside !== undefined) say(`not tried: connections from outside of the pod: ${whyNotOutside}`);
  const proven = provenRules(
    by("proven").map(([probe]) => probe),
    plan,
    facts,
    options.capture,
  );
  sayRest(
    plan.rules.filter((rule) => !proven.includes(rule)),
    plan,
    result,
    say,
  );
  if (by("failed").length > 0 || (result.drift ?? []).length > 0) return "wrong";
  if (by("proven").length > 0 || result.drift !== undefined) return "done";
  say("FAILED: nothing could be proven or read");
  return "wrong";
}

/** The rules that no connection showed: compared by reading, or not even that. */
function sayRest(rest: readonly Rule[], plan: Plan, result: Result, say: (text: string) => void): void {
  const shown = plan.rules.length - rest.length;
  const how =
    result.drift === undefined ? "neither shown nor read (CAP_NET_ADMIN is missing)" : "compared by reading only";
  say(
    `${shown} of ${plan.rules.length} rules shown by connections, ${rest.length} ${how}${rest.length > 0 ? ":" : ""}`,
  );
  for (const rule of rest) say(`  ${ruleText(rule)}`);
}
