import { expect, test } from "vitest";
import { capture, seedOptions } from "../helpers/capture-calls.ts";
import { engines } from "../helpers/capture-loads.ts";
import { commandLater, judgeDeletions } from "../helpers/capture-mutation.ts";
import { makePodAndPeer } from "../helpers/network-namespaces.ts";

/** T12 in full: each rule of large sets is deleted in turn, by each engine. */
const common = ["-i", "*", "-b", "*", "-d", "15090,15020", "-x", "10.77.0.64/26", "-o", "3306"];
const settings = { "istio-service-exclude-cidr": "10.77.0.64/26", "istio-local-outbound-ports-exclude": "3306" };
const dns = { "redirect-dns": "true", "capture-all-dns": "true" };
const dnsFlags = ["--redirect-dns", "--capture-all-dns"];
const quick = ["--run-validation", "--skip-rule-apply", "--probe-timeout", "50ms"];
const sets = [
  { title: "REDIRECT, v6 rejected", flags: [...common, ...dnsFlags], settings: { ...settings, ...dns } },
  {
    title: "TPROXY, dual stack",
    flags: [...common, "-m", "TPROXY", "--dual-stack"],
    settings: { ...settings, "istio-inbound-interception-mode": "TPROXY", "dual-stack": "true" },
  },
];

test.each(engines.flatMap((engine) => sets.map((set) => ({ engine, ...set }))))(
  "whichever single rule is gone, validation names it: $title, by $engine",
  async (set) => {
    const results = await judgeDeletions(set.engine, set.settings, [...set.flags, ...quick], [], 6);
    expect(results.length).toBeGreaterThan(35);
    for (const { title, code, text } of results) {
      expect(code, `${title}: ${text}`).toBe(126);
      expect(text, title).toMatch(/^validation: missing: /m);
    }
  },
);

test.each(sets)(
  "by connections alone: each rule that they are said to show is missed when it is gone: $title",
  async (set) => {
    // Without NET_ADMIN nothing can be read, and nobody can be made outside.
    const blind = ["setpriv", "--bounding-set=-all,+setuid,+setgid", "--"];
    const flags = [...set.flags, ...quick];
    const { pod, done } = makePodAndPeer(["10.77.0.2/24", "fd77::2/64"], ["10.77.0.3/24"]);
    let said: RegExpExecArray | null;
    try {
      await capture(pod, seedOptions(set.settings));
      const { code, text } = await commandLater(pod, ["iptables", ...flags], blind);
      expect(code, text).toBe(0);
      said = /(\d+) of (\d+) rules shown/.exec(text);
    } finally {
      done();
    }
    const results = await judgeDeletions("native", set.settings, flags, blind, 6);
    expect(results).toHaveLength(Number(said?.[2]));
    const missed = results.filter(({ code }) => code !== 0);
    expect(missed.length, results.map(({ code, title }) => `${code} ${title}`).join("\n")).toBe(Number(said?.[1]));
    expect(missed.length).toBeGreaterThan(8);
    for (const { text } of missed) expect(text).toMatch(/^validation: FAILED: /m);
  },
);
