import { expect } from "vitest";
import type { Engine } from "../../src/capture/capture-options.ts";
import { capture, seedOptions } from "./capture-calls.ts";
import { engineSettings, podOf } from "./capture-loads.ts";
import { kernelSnapshot, type Namespace } from "./network-namespaces.ts";

interface Change {
  readonly title: string;
  readonly native: string;
  /** PROG is iptables of the variant. */
  readonly iptables: string;
  readonly says: RegExp;
}

const handleOf = (chain: string, what: string): string =>
  `$(nft -s -a list chain inet pilotfish ${chain} | sed -n 's/.*${what}.*# handle //p' | head -1)`;

const changes: readonly Change[] = [
  {
    title: "a rule is missing",
    native: `nft delete rule inet pilotfish nat-istio-output handle ${handleOf("nat-istio-output", "skuid 1337 counter return")}`,
    iptables: "PROG -t nat -D ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN",
    says: /missing: .*(skuid 1337|--uid-owner 1337).*(return|RETURN)/i,
  },
  {
    title: "a jump is missing",
    native: "nft flush chain inet pilotfish nat-prerouting",
    iptables: "PROG -t nat -D PREROUTING -p tcp -j ISTIO_INBOUND",
    says: /missing: .*(nat-prerouting|PREROUTING)/,
  },
  {
    title: "a rule is extra",
    native: "nft insert rule inet pilotfish nat-istio-output tcp dport 443 counter accept",
    iptables: "PROG -t nat -I ISTIO_OUTPUT 1 -p tcp --dport 443 -j ACCEPT",
    says: /extra: .*443/,
  },
  {
    title: "a rule of ours stands twice",
    native:
      "nft add rule inet pilotfish nat-istio-in-redirect 'tcp flags & (fin|syn|rst|ack) == syn redirect to :15006'",
    iptables: "PROG -t nat -A ISTIO_IN_REDIRECT -p tcp --syn -j REDIRECT --to-ports 15006",
    says: /extra: .*15006/,
  },
  {
    title: "a rule moved behind the catch-all",
    native: `nft delete rule inet pilotfish nat-istio-output handle ${handleOf("nat-istio-output", "skuid 1337 counter return")}; nft add rule inet pilotfish nat-istio-output meta skuid 1337 counter return`,
    iptables:
      "PROG -t nat -D ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN; PROG -t nat -A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN",
    says: /reordered: /,
  },
  {
    title: "a rule of others accepts before ours",
    native:
      "nft add table inet other; nft add chain inet other o '{ type nat hook output priority -150; }'; nft add rule inet other o tcp dport 80 dnat ip to 203.0.113.1",
    iptables: "PROG -t nat -I OUTPUT 1 -p tcp -j ACCEPT",
    says: /foreign: .*(before ours|before our rules)/,
  },
  {
    title: "packets are kept from conntrack",
    native:
      "nft add table inet other; nft add chain inet other r '{ type filter hook output priority -300; }'; nft add rule inet other r tcp dport 80 notrack",
    iptables:
      "nft add table inet other; nft add chain inet other r '{ type filter hook output priority -300; }'; nft add rule inet other r tcp dport 80 notrack",
    says: /foreign: .*untracked packets/,
  },
  {
    title: "a chain hooks elsewhere, or another engine has our rules too",
    native: "iptables-nft -t nat -N ISTIO_OUTPUT; iptables-nft -t nat -A OUTPUT -j ISTIO_OUTPUT",
    iptables: "nft add table inet pilotfish",
    says: /elsewhere: /,
  },
  {
    title: "the policy route is gone",
    native: "ip rule del fwmark 1337 lookup 133",
    iptables: "ip rule del fwmark 1337 lookup 133",
    says: /missing: ip -4 rule/,
  },
];

const options = (engine: Engine): ReturnType<typeof seedOptions> =>
  seedOptions({
    ...engineSettings(engine),
    "istio-inbound-interception-mode": "TPROXY",
    "kube-virt-interfaces": "vnet0",
  });
const redirect = (engine: Engine): ReturnType<typeof seedOptions> => seedOptions(engineSettings(engine));

/** Makes each change in turn: a check reports it and changes nothing, applying again repairs what is ours. */
export async function driftIsReported(engine: Engine, made: Namespace[]): Promise<void> {
  const pod = podOf("v4", made);
  for (const change of changes) {
    const wanted = change.title.includes("policy route") ? options(engine) : redirect(engine);
    await capture(pod, wanted);
    const right = kernelSnapshot(pod);
    expect((await capture(pod, wanted, { check: true })).outcome, change.title).toBe("done");
    const script = engine === "native" ? change.native : change.iptables.replaceAll("PROG", `iptables-${engine}`);
    pod.sh("sh", "-ec", script);
    const checked = await capture(pod, wanted, { check: true });
    expect(checked.outcome, change.title).toBe("wrong");
    expect(checked.text, change.title).toMatch(change.says);
    expect(kernelSnapshot(pod), "a check changes nothing").not.toBe(right);
    await capture(pod, wanted);
    pod.sh(
      "sh",
      "-c",
      `nft delete table inet other; iptables-${engine === "native" ? "nft" : engine} -t nat -D OUTPUT -p tcp -j ACCEPT; true`,
    );
    expect(kernelSnapshot(pod), change.title).toBe(right);
  }
}
