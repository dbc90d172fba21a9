import { expect } from "vitest";
import type { Engine } from "../../src/capture/capture-options.ts";
import { runCapture } from "../../src/capture/run-capture.ts";
import type { World } from "../../src/capture/world.ts";
import { capture, seedOptions } from "./capture-calls.ts";
import { engineSettings, podOf } from "./capture-loads.ts";
import { stateOf } from "./capture-transitions.ts";
import { kernelSnapshot, type Namespace } from "./network-namespaces.ts";

/** Rules of others, in every place where ours could be. */
const foreign = `
set -e
nft add table inet foreign
nft add chain inet foreign nat-output '{ type nat hook output priority -50; }'
nft add rule inet foreign nat-output tcp dport 9999 redirect to :9998
for v in nft legacy; do
  iptables-$v -t nat -N FOREIGN
  iptables-$v -t nat -A FOREIGN -d 203.0.113.1 -j RETURN
  iptables-$v -t nat -A OUTPUT -p tcp --dport 7777 -j FOREIGN
  iptables-$v -t mangle -A PREROUTING -i eth9 -j MARK --set-mark 7
  ip6tables-$v -A INPUT -p tcp --dport 25 -j DROP
done
ip rule add fwmark 9 lookup 99 pref 500
ip route add local default dev lo table 99
ip -6 addr add fd99::9/128 dev lo`;

/** From each variant, by options that have nothing to do with it. */
export async function removalIsClean(engine: Engine, variants: readonly string[], made: Namespace[]): Promise<void> {
  const pod = podOf("dual", made);
  pod.sh("sh", "-c", foreign);
  const before = kernelSnapshot(pod);
  for (const variant of variants) {
    await capture(pod, stateOf(variant, engine).options);
    expect(kernelSnapshot(pod)).not.toBe(before);
    const wrong = seedOptions({ "istio-inbound-interception-mode": "TPROXY", "istio-inbound-tproxy-mark": "77" });
    expect((await capture(pod, wrong, { cleanupOnly: true })).text).toContain("removed");
    expect(kernelSnapshot(pod), variant).toBe(before);
  }
  expect((await capture(pod, seedOptions(), { cleanupOnly: true })).text).toContain("nothing to remove");
}

/** Each change of a large transition fails in turn. */
export async function failuresLeaveNoTrace(engine: Engine, made: Namespace[]): Promise<void> {
  const pod = podOf("dual", made);
  pod.sh("sh", "-c", foreign);
  const from = stateOf("mark", engine).options;
  const to = stateOf("dns", engine === "legacy" ? "native" : "legacy").options;
  await capture(pod, from);
  const before = kernelSnapshot(pod);
  let reached = 0;
  for (let fails = 1; ; fails++) {
    const world = failingWorld(pod.world, fails);
    const speech = { out: () => undefined, err: () => undefined };
    const outcome = await runCapture(to, world, speech).catch((error: unknown) => String(error));
    if (world.changes() < fails) break;
    reached = fails;
    expect(outcome).toMatch(/^Refused: .*the kernel is as before$/s);
    expect(kernelSnapshot(pod), `the ${fails}th change fails`).toBe(before);
  }
  expect(reached).toBeGreaterThan(3);
}

export async function peersRulesAreTakenOver(engine: Engine, made: Namespace[]): Promise<void> {
  const [pod, fresh] = [podOf("v4", made), podOf("v4", made)];
  await capture(fresh, seedOptions(engineSettings(engine)));
  pod.sh("sh", "-c", peersRules);
  await capture(pod, seedOptions(engineSettings(engine)));
  expect(kernelSnapshot(pod)).toBe(kernelSnapshot(fresh));
}

/** What `pilot-agent istio-iptables` leaves behind: its rules twice over (its own probe made it change engines), TPROXY's too. */
const peersRules = `
set -e
for v in nft legacy; do iptables-$v-restore --noflush <<EOF
* mangle
-N ISTIO_INBOUND
-N ISTIO_DIVERT
-A ISTIO_DIVERT -j MARK --set-mark 1337
-A ISTIO_DIVERT -j ACCEPT
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A ISTIO_INBOUND -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT
COMMIT
* nat
-N ISTIO_INBOUND
-N ISTIO_REDIRECT
-N ISTIO_IN_REDIRECT
-N ISTIO_OUTPUT
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_OUTPUT -j ISTIO_REDIRECT
COMMIT
EOF
done
nft -f - <<EOF
add table inet istio-proxy-nat
add chain inet istio-proxy-nat output { type nat hook output priority -100; }
add rule inet istio-proxy-nat output tcp dport 80 counter redirect to :15001
EOF
ip rule add fwmark 1337 lookup 133
ip rule add fwmark 1337 lookup 133 pref 32764
ip route add local default dev lo table 133`;

/** A world in which the nth program that would change something fails instead. */
function failingWorld(world: World, nth: number): World & { changes(): number } {
  let changes = 0;
  return {
    ...world,
    changes: () => changes,
    run: (program, args, input) => {
      const dry = args.includes("-c") || args.includes("--test") || args.includes("show") || args.includes("list");
      const changing = !dry && /restore$|^nft$|^ip$/.test(program);
      if (changing) changes++;
      if (changing && changes === nth)
        return Promise.resolve({ exit: { how: "exited", code: 4 }, stdout: "", stderr: "made to fail" });
      return world.run(program, args, input);
    },
  };
}
