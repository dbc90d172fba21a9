import { afterAll, describe, expect, test } from "vitest";
import { driftIsReported } from "../helpers/capture-drift.ts";
import { podOf } from "../helpers/capture-loads.ts";
import { command } from "../helpers/capture-proxy.ts";
import { kernelSnapshot, legacyTables, type Namespace } from "../helpers/network-namespaces.ts";

/** T13 (drift; by iptables in test/faults), T14 (rights), T15 (bad input). */
const made: Namespace[] = [];
afterAll(() => {
  for (const one of made) one.done();
});

test.concurrent.each(["native"] as const)("drift of rules loaded by %s is reported and repaired", (engine) =>
  driftIsReported(engine, made),
);

test("a check without any rules says what is missing, exit 126", () => {
  const pod = podOf("v4", made);
  const { code, text } = command(pod, ["iptables", "-i", "*", "-b", "*", "--check"]);
  expect(code).toBe(126);
  expect(text).toMatch(/missing: .*nat-output/);
});

describe("rights", () => {
  const seed = ["iptables", "-i", "*", "-b", "*", "-d", "15090,15020"];
  const only = (caps: string): readonly string[] => ["setpriv", `--bounding-set=-all${caps}`, "--"];

  test("NET_ADMIN is enough for nft, in both of its ways", () => {
    const pod = podOf("v4", made);
    for (const how of [["--native-nftables"], ["--force-iptables-binary", "nft"]])
      expect(command(pod, [...seed, ...how], only(",+net_admin"))).toMatchObject({ code: 0 });
    expect(command(pod, ["iptables", "--cleanup-only"], only(",+net_admin"))).toMatchObject({ code: 0 });
  });

  test("iptables-legacy needs NET_RAW too, and that is said before anything changes", () => {
    const pod = podOf("v4", made);
    const legacy = [...seed, "--force-iptables-binary", "legacy"];
    const before = kernelSnapshot(pod);
    const refused = command(pod, legacy, only(",+net_admin"));
    expect(refused.code).toBe(1);
    expect(refused.text).toContain("CAP_NET_RAW is missing; add NET_RAW");
    expect(kernelSnapshot(pod)).toBe(before);
    expect(legacyTables(pod)).toBe("");
    expect(command(pod, legacy, only(",+net_admin,+net_raw"))).toMatchObject({ code: 0 });
  });

  test.each([
    ["nothing", only("")],
    ["an ordinary user", ["setpriv", "--reuid", "1000", "--clear-groups", "--"]],
  ])("with %s: a clear error, exit 1", (_, before) => {
    const pod = podOf("v4", made);
    const was = kernelSnapshot(pod);
    for (const words of [seed, [...seed, "--check"], ["iptables", "--cleanup-only"]]) {
      const { code, text } = command(pod, words, before);
      expect(code).toBe(1);
      expect(text).toContain("CAP_NET_ADMIN is missing; add NET_ADMIN to the container's capabilities");
    }
    expect(kernelSnapshot(pod)).toBe(was);
    // Looking is free.
    expect(command(pod, [...seed, "--dry-run"], before)).toMatchObject({ code: 0 });
    expect(command(pod, [...seed, "--explain"], before)).toMatchObject({ code: 0 });
  });
});

test("bad input: all problems at once, exit 64, the kernel untouched", () => {
  const pod = podOf("v4", made);
  command(pod, ["iptables", "-i", "*", "-b", "*"]);
  const before = kernelSnapshot(pod);
  const bad = ["-p", "70000", "-b", "abc,99999", "-m", "garbage", "-i", "10.0.0.1", "-x", "*", "-t", "0", "-c", "a b"];
  const { code, text } = command(pod, ["istio-iptables", ...bad, "-u", "nobody-at-all", "--probe-timeout", "soon"]);
  expect(code).toBe(64);
  for (const flag of [
    "envoy-port",
    "istio-inbound-ports",
    "istio-inbound-interception-mode",
    "istio-service-cidr",
    "istio-service-exclude-cidr",
    "istio-inbound-tproxy-mark",
    "istio-exclude-interfaces",
    "proxy-uid",
    "probe-timeout",
  ])
    expect(text).toContain(`--${flag}: `);
  expect(kernelSnapshot(pod)).toBe(before);
});

test("another namespace by its path, from outside of it", () => {
  const [pod, elsewhere] = [podOf("v4", made), podOf("v4", made)];
  const before = kernelSnapshot(elsewhere);
  const words = ["istio-iptables", "-i", "*", "-b", "*", "--cni-mode", "--network-namespace", pod.path];
  const { code, text } = command(elsewhere, words);
  expect(code, text).toBe(0);
  expect(pod.sh("nft", "list", "ruleset")).toContain("nat-istio-output");
  expect(kernelSnapshot(elsewhere)).toBe(before);
  expect(command(elsewhere, ["iptables", "--network-namespace", "/run/netns/none"]).code).toBe(1);
});
