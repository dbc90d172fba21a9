import { expect } from "vitest";
import type { Engine } from "../../src/capture/capture-options.ts";
import { planCapture } from "../../src/capture/rules.ts";
import { factsOf, type OptionSet, optionsOf, type PodKind, pods } from "../capture/option-sets.ts";
import { capture } from "./capture-calls.ts";
import { connect, kernelSnapshot, makeNamespace, type Namespace } from "./network-namespaces.ts";

/** A pod with exactly these addresses: no link-local ones that the kernel adds. */
export function podOf(kind: PodKind, made: Namespace[]): Namespace {
  const [pod, peer] = [makeNamespace(kind), makeNamespace("peer")];
  made.push(pod, peer);
  const [first, ...rest] = pods[kind];
  // The kernel lists an interface's v4 addresses first: another one for what shall come later.
  connect(pod, peer, "eth0", first === undefined ? [] : kind === "v6first" ? [first] : pods[kind], []);
  if (kind === "v6first") connect(pod, peer, "eth1", rest, []);
  return pod;
}

export const engines: readonly Engine[] = ["native", "nft", "legacy"];
export const engineSettings = (engine: Engine): Readonly<Record<string, string>> =>
  engine === "native" ? { "native-nftables": "true" } : { "force-iptables-binary": engine };

/** Where the rules of the plan stand: one count for each engine, to see that only one has them. */
function countRules(pod: Namespace): Readonly<Record<Engine, number>> {
  const script = `
nft list ruleset | grep -c 'comment "'
(iptables-nft-save; ip6tables-nft-save) 2>&1 | grep -c -- '^-A.*ISTIO_'
cat /proc/net/ip_tables_names /proc/net/ip6_tables_names | grep -q . || { echo 0; exit; }
(iptables-legacy-save; ip6tables-legacy-save) | grep -c -- '^-A.*ISTIO_'`;
  const [native = -1, nft = -1, legacy = -1] = pod.sh("sh", "-c", `${script}; true`).trim().split("\n").map(Number);
  return { native, nft, legacy };
}

export async function loads(pod: Namespace, one: OptionSet, engine: Engine): Promise<void> {
  const options = optionsOf(one, engineSettings(engine));
  const world = one.resolvConf === undefined ? pod.worldWith("nameserver 10.96.0.10\n") : pod.worldWith(one.resolvConf);
  const plan = planCapture(options.capture, factsOf(one));
  const first = await capture(pod, options, {}, world);
  expect(first.outcome, first.text).toBe("done");
  const count = countRules(pod);
  const v4 = plan.rules.filter((rule) => rule.families.includes("v4")).length;
  const v6 = plan.rules.filter((rule) => rule.families.includes("v6")).length;
  const expected = engine === "native" ? plan.rules.length : v4 + v6;
  expect(count, "all of the plan's rules, in this engine only").toEqual({
    native: 0,
    nft: 0,
    legacy: 0,
    [engine]: expected,
  });
}

/** All of one pod's option sets one after the other, then removal: the kernel is as at the start. */
export async function loadsAll(
  sets: readonly OptionSet[],
  kind: PodKind,
  engine: Engine,
  made: Namespace[],
): Promise<void> {
  const pod = podOf(kind, made);
  const empty = kernelSnapshot(pod);
  for (const one of sets.filter((set) => (set.pod ?? "v4") === kind)) await loads(pod, one, engine);
  const [any] = sets;
  if (any !== undefined) await capture(pod, optionsOf(any), { cleanupOnly: true });
  expect(kernelSnapshot(pod), "nothing of ours is left").toBe(empty);
}

export const kindsOf = (sets: readonly OptionSet[]): readonly PodKind[] => [
  ...new Set(sets.map((one) => one.pod ?? "v4")),
];
