import { describe, expect, test } from "vitest";
import { readOptions } from "../../src/capture/read-options.ts";
import { iptablesOptions } from "../../src/cli/commands/iptables-options.ts";
import { settingsOf } from "../../src/cli/run-iptables.ts";
import { InvalidConfig } from "../../src/foundation/errors.ts";
import { names } from "./option-sets.ts";

const read = (settings: Readonly<Record<string, string>>): ReturnType<typeof readOptions> =>
  readOptions((name) => settings[name], names);

function problemsOf(settings: Readonly<Record<string, string>>): readonly string[] {
  try {
    read(settings);
    return [];
  } catch (error) {
    if (error instanceof InvalidConfig) return error.problems.map((one) => `${one.name}: ${one.text}`);
    throw error;
  }
}

describe("capture options", () => {
  test("defaults", () => {
    expect(read({}).capture).toEqual({
      outboundPort: 15001,
      inboundPort: 15006,
      tunnelPort: 15008,
      dnsPort: 15053,
      proxyUids: [1337],
      proxyGids: [1337],
      mode: "REDIRECT",
      inboundPorts: [],
      excludeInboundPorts: [],
      excludeInterfaces: [],
      outboundCidrs: [],
      excludeCidrs: [],
      outboundPorts: [],
      excludeOutboundPorts: [],
      virtualInterfaces: [],
      tproxyMark: 1337,
      tproxyTable: 133,
      dns: "off",
      dropInvalid: false,
      dualStack: false,
      ipv6: "auto",
      ownerGroups: "all",
      excludeOwnerGroups: [],
      loopbackCidr: { family: "v4", base: 0x7f00_0001n, length: 32 },
      trace: false,
    });
    expect(read({}).run).toMatchObject({ probePort: 15002, probeTimeout: 5000, engine: undefined, dryRun: false });
    expect(read({}).notices).toEqual(["nothing is captured: -b, -i and -q are all empty"]);
  });

  test.each([
    ["envoy-port", "70000", /"70000" is not a port/],
    ["envoy-port", "0", /use a number from 1 to 65535/],
    ["envoy-port", "15001x", /not a port/],
    ["istio-inbound-ports", "80,abc", /"abc" is not a port/],
    ["istio-inbound-ports", "80,*", /mixes "\*" with a list/],
    ["istio-local-exclude-ports", "*", /not allowed here/],
    ["istio-local-exclude-ports", "99999", /"99999" is not a port/],
    ["istio-service-cidr", "10.0.0.1", /use "10.0.0.1\/32"/],
    ["istio-service-cidr", "fd00::1", /use "fd00::1\/128"/],
    ["istio-service-cidr", "10.0.0.0/33", /not a range/],
    ["istio-service-cidr", "10.0.0.0/8; rm -rf", /not a range/],
    ["istio-service-exclude-cidr", "*", /everything would be excluded/],
    ["istio-exclude-interfaces", "eth0 -j ACCEPT", /not an interface's name/],
    ["istio-exclude-interfaces", 'a"b', /not an interface's name/],
    ["istio-exclude-interfaces", "sixteen-letters-", /at most 15/],
    ["kube-virt-interfaces", "..", /not an interface's name/],
    ["istio-inbound-interception-mode", "redirect", /use one of REDIRECT, TPROXY, NONE/],
    ["istio-inbound-interception-mode", "garbage", /"garbage" is not known/],
    ["istio-inbound-tproxy-mark", "0", /not a packet mark/],
    ["istio-inbound-tproxy-mark", "4294967295", /not a packet mark/],
    ["istio-inbound-tproxy-route-table", "254", /kernel's own tables/],
    ["proxy-uid", "1337,nobody", /"nobody" is not a user/],
    ["proxy-uid", "1000-2000", /is a range/],
    ["proxy-uid", "*", /nothing would be captured/],
    ["proxy-gid", "4294967295", /not a group/],
    ["istio-outbound-owner-groups", "2000,nowhere", /"nowhere" is not a group/],
    ["istio-outbound-owner-groups", Array.from({ length: 65 }, (_, i) => i).join(), /at most 64/],
    ["istio-outbound-owner-groups-exclude", "*", /nothing would be captured/],
    ["istio-outbound-ipv4-loopback-cidr", "10.0.0.0/8", /not a loopback range/],
    ["ipv6", "yes", /use one of auto, capture, reject, bypass/],
    ["dry-run", "maybe", /use true or false/],
    ["probe-timeout", "5", /use for example 5s/],
    ["probe-timeout", "0s", /not a duration/],
    ["iptables-probe-port", "-1", /not a port/],
    ["force-iptables-binary", "xtables", /use one of/],
  ])("--%s=%s is refused", (name, value, says) => {
    const found = problemsOf({ [name]: value });
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(says);
    expect(found[0]).toMatch(new RegExp(`^--${name}: `));
  });

  test("what is wrong only together", () => {
    expect(problemsOf({ "envoy-port": "15006" })).toEqual([expect.stringMatching(/two listeners/)]);
    expect(problemsOf({ "inbound-tunnel-port": "15001" })).toHaveLength(1);
    expect(problemsOf({ "redirect-dns": "true", "dns-capture-port": "15001" })).toHaveLength(1);
    expect(problemsOf({ "dns-capture-port": "15001" })).toHaveLength(0);
    expect(problemsOf({ "native-nftables": "true", "force-iptables-binary": "nft" })).toHaveLength(1);
    expect(problemsOf({ check: "true", "cleanup-only": "true" })).toHaveLength(1);
    expect(problemsOf({ "kube-virt-interfaces": "a,b", "istio-exclude-interfaces": "b" })).toHaveLength(1);
  });

  test("all problems come at once", () => {
    expect(problemsOf({ "envoy-port": "0", "istio-service-cidr": "x,y", ipv6: "z", "proxy-gid": "?" })).toHaveLength(5);
  });

  test("lists: blanks and repetitions are ignored, names become numbers", () => {
    const { capture } = read({ "istio-inbound-ports": " 80, 8080,80,", "istio-outbound-owner-groups": "java, 7-9" });
    expect(capture.inboundPorts).toEqual([80, 8080]);
    expect(capture.ownerGroups).toEqual([
      { from: 4711, to: 4711 },
      { from: 7, to: 9 },
    ]);
  });

  test("the proxy's user is the one that ENVOY_USER names", () => {
    expect(
      readOptions(() => undefined, { users: new Map([["istio-proxy", 42]]), groups: new Map() }).capture,
    ).toMatchObject({
      proxyUids: [42],
      proxyGids: [42],
    });
    expect(read({ "proxy-uid": "istio-proxy,7" }).capture.proxyUids).toEqual([1337, 7]);
  });

  test("durations as Go writes them", () => {
    for (const [text, value] of [
      ["1m30s", 90_000],
      ["250ms", 250],
      ["1.5s", 1500],
    ] as const)
      expect(read({ "probe-timeout": text }).run.probeTimeout).toBe(value);
  });
});

describe("flag, then environment", () => {
  const call = (
    flags: Readonly<Record<string, string>>,
    env: Readonly<Record<string, string>>,
  ): ReturnType<typeof settingsOf> =>
    settingsOf({
      flags: {
        values: new Map(Object.entries(flags).map(([name, value]) => [name, [value]])),
        positionals: [],
        rest: undefined,
        unknown: [],
      },
      env: new Map(Object.entries(env)),
    });

  test.each([
    ["envoy-port", "ENVOY_PORT"],
    ["istio-inbound-ports", "ISTIO_INBOUND_PORTS"],
    ["redirect-dns", "ISTIO_META_DNS_CAPTURE"],
    ["drop-invalid", "INVALID_DROP"],
    ["dual-stack", "ISTIO_DUAL_STACK"],
    ["run-validation", "RUN_VALIDATION"],
    ["native-nftables", "NATIVE_NFTABLES"],
    ["istio-outbound-owner-groups", "ISTIO_OUTBOUND_OWNER_GROUPS"],
    ["istio-outbound-owner-groups-exclude", "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE"],
    ["istio-outbound-ipv4-loopback-cidr", "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR"],
    ["envoy-user", "ENVOY_USER"],
  ])("--%s is %s", (name, variable) => {
    expect(call({}, { [variable]: "from env" })(name)).toBe("from env");
    expect(call({ [name]: "from flag" }, { [variable]: "from env" })(name)).toBe("from flag");
    // The seed gives -x "": an empty flag is a value, an empty variable is not.
    expect(call({ [name]: "" }, { [variable]: "from env" })(name)).toBe("");
    expect(call({}, { [variable]: "" })(name)).toBeUndefined();
  });

  test("what Kubernetes makes for a Service called envoy is not meant for us", () => {
    expect(call({}, { ENVOY_PORT: "tcp://10.0.0.1:80" })("envoy-port")).toBeUndefined();
  });

  test("every flag of the seed and of today's tool is known", () => {
    const shorts = iptablesOptions.map((one) => one.short).filter((one) => one !== undefined);
    expect(shorts.toSorted()).toEqual("bcdefgikmnopqrtuxz".split(""));
    const known = new Set(iptablesOptions.map((one) => one.name));
    for (const name of [
      "iptables-probe-port",
      "probe-timeout",
      "skip-rule-apply",
      "run-validation",
      "redirect-dns",
      "capture-all-dns",
      "drop-invalid",
      "dual-stack",
      "network-namespace",
      "cni-mode",
      "reconcile",
      "cleanup-only",
      "force-apply",
      "native-nftables",
      "force-iptables-binary",
      "iptables-trace-logging",
    ])
      expect(known).toContain(name);
  });
});
