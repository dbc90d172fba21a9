import type { CaptureOptions } from "./capture-options.ts";
import type { Family } from "./cidr.ts";
import { type PodFacts, podAddresses } from "./facts.ts";

/** What happens to v6 traffic that would be captured if it were v4, and the sentence that says so. */
export interface Ipv6Policy {
  readonly does: "capture" | "reject" | "bypass";
  readonly because: string;
}

/**
 * v6 never bypasses silently. The proxy listens on v6 when it is dual stack, or when v6 is the pod's first address
 * (features.md: that is how Envoy's bind family is chosen).
 */
export function ipv6Policy(options: CaptureOptions, facts: PodFacts): Ipv6Policy {
  if (options.ipv6 !== "auto") return { does: options.ipv6, because: `--ipv6 ${options.ipv6}` };
  const addresses = podAddresses(facts);
  const v6 = addresses.find((one) => one.family === "v6")?.address;
  if (addresses.length === 0) return { does: "reject", because: "the pod has no address yet, so v6 must not slip by" };
  const linkLocal = facts.addresses.find((one) => one.family === "v6" && one.linkLocal)?.address;
  if (v6 === undefined && linkLocal !== undefined)
    return { does: "reject", because: `the pod can be reached by ${linkLocal}, but the proxy listens on v4 only` };
  if (v6 === undefined) return { does: "bypass", because: "the pod has no v6 address" };
  if (options.dualStack) return { does: "capture", because: `the pod has ${v6} and the proxy is dual stack` };
  if (addresses[0]?.family === "v6")
    return { does: "capture", because: `the pod's first address is ${v6}, so the proxy listens on v6` };
  const change = "--dual-stack or --ipv6 capture|bypass changes that";
  return { does: "reject", because: `the pod has ${v6} but the proxy listens on v4 only; ${change}` };
}

/** Families whose traffic goes to the proxy. v4 always does: 127.0.0.1 exists in a v6-only pod too. */
export const capturedFamilies = (policy: Ipv6Policy): readonly Family[] =>
  policy.does === "capture" ? ["v4", "v6"] : ["v4"];
