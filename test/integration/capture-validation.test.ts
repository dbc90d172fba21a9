import { afterEach, describe, expect, test } from "vitest";
import { capture, seedOptions } from "../helpers/capture-calls.ts";
import { commandLater, judgeDeletions } from "../helpers/capture-mutation.ts";
import { startActor } from "../helpers/net-actor.ts";
import { kernelSnapshot, makePodAndPeer, type Namespace } from "../helpers/network-namespaces.ts";

/** T12: validation proves what is there, and misses nothing that is not. */
const undo: (() => void)[] = [];
afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});

function makePod(): Namespace {
  const { pod, done } = makePodAndPeer(["10.77.0.2/24", "fd77::2/64"], ["10.77.0.3/24"]);
  undo.push(done);
  return pod;
}

const seed = ["-i", "*", "-b", "*", "-d", "15090,15020"];
const validate = ["iptables", ...seed, "--run-validation"];
const quick = ["--probe-timeout", "50ms"];

test.concurrent.each([
  ["the seed's options", []],
  [
    "iptables-nft, port list, exclusions",
    ["--force-iptables-binary", "nft", "-b", "80,8080", "-x", "10.77.0.64/26", "-o", "3306"],
  ],
  ["iptables-legacy, DNS", ["--force-iptables-binary", "legacy", "--redirect-dns", "--capture-all-dns"]],
  ["TPROXY, dual stack, DNS", ["-m", "TPROXY", "--dual-stack", "--redirect-dns", "--capture-all-dns"]],
  [
    "ranges, groups, several uids",
    ["-i", "10.0.0.0/8", "-u", "1337,1400", "--istio-outbound-owner-groups", "2000-2005"],
  ],
])("loads and proves in one run as root: %s", async (_, more) => {
  const { pod, done } = makePodAndPeer(["10.77.0.2/24", "fd77::2/64"], ["10.77.0.3/24"]);
  try {
    const { code, text } = await commandLater(pod, [...validate, ...more]);
    expect(code, text).toBe(0);
    for (const what of [
      "outbound is captured",
      "loop guard",
      "localhost stays direct",
      "inbound port",
      "itself takes the inbound side",
    ])
      expect(text).toMatch(new RegExp(`proven: .*${what}`));
    expect(text).not.toMatch(/FAILED|not tried/);
    // Nothing of the validation is left: no interface, no listener, no rule.
    const before = kernelSnapshot(pod);
    expect(before).not.toContain("pfp");
    expect((await commandLater(pod, [...validate, ...more, "--skip-rule-apply"])).code).toBe(0);
    expect(kernelSnapshot(pod)).toBe(before);
  } finally {
    done();
  }
});

describe("with fewer rights", () => {
  const only = (...caps: readonly string[]): readonly string[] => [
    "setpriv",
    `--bounding-set=-all${caps.map((one) => `,+${one}`).join("")}`,
    "--",
  ];

  test("an init container may not become the proxy: the rest is compared by reading, and it says so", async () => {
    const pod = makePod();
    const { code, text } = await commandLater(pod, validate, only("net_admin", "net_raw"));
    expect(code, text).toBe(0);
    expect(text).toMatch(/proven: v4 outbound is captured/);
    expect(text).toMatch(/not tried: v4 loop guard.*CAP_SETUID/);
    expect(text).toMatch(/not tried: connections from outside.*CAP_SYS_ADMIN/);
    expect(text).toMatch(/compared by reading only:\n.*ISTIO_INBOUND/);
    pod.sh("nft", "flush", "chain", "inet", "pilotfish", "nat-istio-in-redirect");
    const broken = await commandLater(pod, [...validate, ...quick, "--skip-rule-apply"], only("net_admin", "net_raw"));
    expect(broken.code).toBe(126);
    expect(broken.text).toMatch(/missing: nat-istio-in-redirect .*redirect to :15006/);
  });

  test("Istio's validation container: the proxy's user with no rights at all", async () => {
    const pod = makePod();
    const asProxy = ["setpriv", "--reuid", "1337", "--regid", "1337", "--clear-groups", ...only()];
    const words = [...validate, "--skip-rule-apply"];
    const without = await commandLater(pod, [...words, ...quick], asProxy.slice(0, -1));
    expect(without.code).toBe(126);
    expect(without.text).toMatch(/FAILED: v4 a call to the pod itself.*see nat -A ISTIO_IN_REDIRECT/);
    await capture(pod, seedOptions());
    const with_ = await commandLater(pod, words, asProxy.slice(0, -1));
    expect(with_.code, with_.text).toBe(0);
    expect(with_.text).toMatch(/proven: v4 loop guard/);
    expect(with_.text).toMatch(/neither shown nor read \(CAP_NET_ADMIN is missing\)/);
  });

  test("rules that come while it tries are enough", async () => {
    const pod = makePod();
    const running = commandLater(pod, [...validate, "--skip-rule-apply"]);
    await capture(pod, seedOptions());
    expect((await running).code).toBe(0);
  });
});

test("where Envoy listens already, nothing is taken from it: the rules are read", async () => {
  const pod = makePod();
  const envoy = await startActor(pod, 1337);
  undo.push(() => envoy.done());
  for (const port of [15001, 15006]) await envoy.listen("0.0.0.0", port, "envoy");
  const { code, text } = await commandLater(pod, validate);
  expect(code, text).toBe(0);
  expect(text).toMatch(/not tried: v4 outbound is captured.*port 15001 is taken/);
  expect((await envoy.ask("counts")).counts).toEqual({});
});

test("whichever single rule is gone, validation fails and names it", async () => {
  const flags = [...validate.slice(1), ...quick, "--skip-rule-apply"];
  const results = await judgeDeletions("native", {}, flags, [], 5, ["10.77.0.2/24"]);
  expect(results).toHaveLength(16);
  for (const { title, code, text } of results) {
    expect(code, `${title}: ${text}`).toBe(126);
    expect(text, title).toMatch(/^validation: missing: /m);
  }
});
