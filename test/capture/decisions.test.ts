import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CaptureOptions } from "../../src/capture/capture-options.ts";
import { type Cidr, type Family, parseHostOrCidr } from "../../src/capture/cidr.ts";
import { planCapture } from "../../src/capture/rules.ts";
import { type Packet, walk } from "../../src/capture/walk.ts";
import { factsOf, optionSets, optionsOf } from "./option-sets.ts";

/** What the rules decide about packets, asked without loading them. */
const host = (text: string): Cidr => {
  const found = parseHostOrCidr(text);
  if (found === undefined) throw new Error(text);
  return found;
};

const packet = (more: Partial<Packet> & { readonly to?: string; readonly from?: string }): Packet => {
  const { to = "203.0.113.9", from = "10.77.0.2", ...rest } = more;
  return {
    family: "v4",
    protocol: "tcp",
    source: host(from),
    destination: host(to),
    sport: 40_000,
    dport: 80,
    by: "eth0",
    uid: 1000,
    gid: 1000,
    mark: 0,
    connmark: 0,
    state: "NEW",
    ...rest,
  };
};

function decide(title: string, hook: "OUTPUT" | "PREROUTING", asked: Packet): number | string {
  const one = optionSets.find((set) => set.title === title);
  if (one === undefined) throw new Error(`no option set ${title}`);
  const plan = planCapture(optionsOf(one).capture, factsOf(one));
  const { verdict } = walk(plan.rules, "nat", hook, asked);
  if (verdict === undefined) return "passes";
  return verdict.do === "redirect" ? verdict.port : verdict.do;
}

const out = (title: string, more: Parameters<typeof packet>[0] = {}): number | string =>
  decide(title, "OUTPUT", packet(more));
const into = (title: string, more: Parameters<typeof packet>[0] = {}): number | string =>
  decide(title, "PREROUTING", packet({ to: "10.77.0.2", from: "10.77.0.3", ...more }));

describe("capture decides", () => {
  test("by the seed's options", () => {
    expect(out("seed")).toBe(15001);
    expect(out("seed", { uid: 0, gid: 0 })).toBe(15001);
    expect(out("seed", { uid: 1337 })).toBe("passes");
    expect(out("seed", { gid: 1337 })).toBe("passes");
    expect(out("seed", { protocol: "udp" })).toBe("passes");
    expect(out("seed", { state: "ESTABLISHED" })).toBe("passes");
    expect(out("seed", { by: "lo", to: "10.77.0.2" })).toBe("passes");
    expect(out("seed", { by: "lo", to: "10.77.0.2", uid: 1337 })).toBe(15006);
    expect(out("seed", { by: "lo", to: "10.77.0.2", gid: 1337 })).toBe(15006);
    expect(out("seed", { by: "lo", to: "10.77.0.2", uid: 1337, dport: 15008 })).toBe("passes");
    expect(out("seed", { by: "lo", to: "127.0.0.1", uid: 1337 })).toBe("passes");
    expect(out("seed", { by: "lo", to: "10.77.0.2", from: "127.0.0.6", uid: 1337 })).toBe("passes");
    expect(into("seed")).toBe(15006);
    for (const dport of [15008, 15090, 15020]) expect(into("seed", { dport })).toBe("passes");
  });

  test("several uids: the second is as good as the first", () => {
    for (const uid of [1337, 1000]) {
      expect(out("several-uids", { uid, gid: 5 })).toBe("passes");
      expect(out("several-uids", { uid, gid: 5, by: "lo", to: "10.77.0.2" })).toBe(15006);
    }
    expect(out("several-uids", { uid: 5, gid: 2000, by: "lo", to: "10.77.0.2" })).toBe(15006);
    expect(out("several-uids", { uid: 5, gid: 5, by: "lo", to: "10.77.0.2" })).toBe("passes");
    expect(out("several-uids", { uid: 5, gid: 5 })).toBe(15001);
  });

  test("an excluded inbound port stays excluded beside a list", () => {
    expect(into("inbound-list-and-excluded", { dport: 80 })).toBe(15006);
    expect(into("inbound-list-and-excluded", { dport: 8080 })).toBe("passes");
    expect(into("inbound-list-and-excluded", { dport: 81 })).toBe("passes");
  });

  test("owner groups", () => {
    for (const [gid, where] of [
      [2000, 15001],
      [4711, 15001],
      [3005, 15001],
      [1, "passes"],
    ] as const)
      expect(out("owner-groups", { gid })).toBe(where);
    expect(out("owner-groups-excluded", { gid: 2001 })).toBe("passes");
    expect(out("owner-groups-excluded", { gid: 2002 })).toBe(15001);
  });

  test("DNS", () => {
    const question = { protocol: "udp", dport: 53 } as const;
    expect(out("dns-all", question)).toBe(15053);
    expect(out("dns-all", { ...question, protocol: "tcp" })).toBe(15053);
    expect(out("dns-all", { ...question, protocol: "tcp", by: "lo", to: "127.0.0.53" })).toBe(15053);
    expect(out("dns-all", { ...question, uid: 1337 })).toBe("passes");
    expect(out("dns-nameservers", { ...question, to: "10.96.0.10" })).toBe(15053);
    expect(out("dns-nameservers", question)).toBe("passes");
    expect(out("dns-all", { by: "lo", to: "10.77.0.2", uid: 1337, protocol: "tcp", dport: 53 })).toBe("passes");
  });
});

/** The same decision in four sentences, from the options alone. */
function oracle(options: CaptureOptions, asked: Packet): number | string {
  const inside = (cidr: Cidr): boolean =>
    cidr.family === asked.family &&
    asked.destination.base >> BigInt(32 - cidr.length) === cidr.base >> BigInt(32 - cidr.length);
  const mine = options.proxyUids.includes(asked.uid) || options.proxyGids.includes(asked.gid);
  if (options.excludeInterfaces.includes(asked.by) || options.excludeOutboundPorts.includes(asked.dport))
    return "passes";
  if (asked.by === "lo" && asked.source.base === host("127.0.0.6").base) return "passes";
  const local = inside(options.loopbackCidr);
  if (mine)
    return asked.by === "lo" && !local && asked.protocol === "tcp" && asked.dport !== options.tunnelPort
      ? options.inboundPort
      : "passes";
  if (asked.by === "lo" || local || options.excludeCidrs.some(inside) || asked.protocol === "udp") return "passes";
  const wanted =
    options.outboundCidrs === "all" ||
    options.outboundCidrs.some(inside) ||
    options.outboundPorts.includes(asked.dport);
  return wanted ? options.outboundPort : "passes";
}

test("any REDIRECT set decides about any packet as its options say", () => {
  const list = <T>(...values: readonly T[]): fc.Arbitrary<readonly T[]> => fc.subarray([...values]);
  const settings = fc.record({
    "proxy-uid": fc.constantFrom("1337", "1337,7", "7"),
    "proxy-gid": fc.constantFrom("1337", "8,9"),
    "istio-service-cidr": fc.constantFrom("*", "", "10.0.0.0/8", "10.1.0.0/16,203.0.113.0/24", "0.0.0.0/0"),
    "istio-service-exclude-cidr": list("10.1.2.0/24", "203.0.113.9/32").map((all) => all.join()),
    "istio-outbound-ports": list("80", "443").map((all) => all.join()),
    "istio-local-outbound-ports-exclude": list("443", "3306").map((all) => all.join()),
    "istio-exclude-interfaces": fc.constantFrom("", "eth1"),
  });
  const asked = fc.record({
    to: fc.constantFrom(
      "10.1.2.3",
      "10.1.3.3",
      "10.9.9.9",
      "203.0.113.9",
      "203.0.113.8",
      "127.0.0.1",
      "127.0.0.9",
      "8.8.8.8",
    ),
    from: fc.constantFrom("10.77.0.2", "127.0.0.6"),
    by: fc.constantFrom("eth0", "eth1", "lo"),
    uid: fc.constantFrom(0, 7, 1000, 1337),
    gid: fc.constantFrom(0, 8, 1000, 1337),
    dport: fc.constantFrom(80, 443, 3306, 15008, 9999),
    protocol: fc.constantFrom("tcp", "udp"),
  });
  fc.assert(
    fc.property(settings, asked, (given, one) => {
      const set = { title: "", settings: { ...given, "istio-inbound-ports": "*" } };
      const { capture } = optionsOf(set);
      const question = packet({ ...one, protocol: one.protocol === "tcp" ? "tcp" : "udp" });
      const { verdict } = walk(planCapture(capture, factsOf(set)).rules, "nat", "OUTPUT", question);
      const decided = verdict === undefined ? "passes" : verdict.do === "redirect" ? verdict.port : verdict.do;
      expect(decided).toBe(oracle(capture, question));
    }),
    { numRuns: 2000 },
  );
});

test("v6 that is rejected is exactly what would be captured", () => {
  for (const more of [{}, { "istio-service-cidr": "fd00::/8" }, { "istio-service-exclude-cidr": "fd01::/16" }]) {
    const set = { title: "", pod: "dual" as const, settings: { ...optionSets[0]?.settings, ...more } };
    const rejecting = planCapture(optionsOf(set).capture, factsOf(set)).rules;
    const capturing = planCapture(optionsOf(set, { "dual-stack": "true" }).capture, factsOf(set)).rules;
    const family: Family = "v6";
    for (const to of ["fd77::3", "fd01::1", "2001:db8::1", "fe80::1"])
      for (const uid of [0, 1000, 1337])
        for (const dport of [80, 15008, 15020]) {
          const asked = packet({ family, to, from: "fd77::2", uid, gid: uid, dport });
          const reject = walk(rejecting, "filter", "OUTPUT", asked).verdict?.do;
          const capture = walk(capturing, "nat", "OUTPUT", asked).verdict?.do;
          expect(reject === "reject", `${to} ${uid} ${dport}`).toBe(capture === "redirect");
        }
    for (const dport of [80, 15008, 15020, 15090]) {
      const asked = packet({ family, to: "fd77::2", from: "fd77::3", dport });
      const reject = walk(rejecting, "filter", "INPUT", asked).verdict?.do;
      const capture = walk(capturing, "nat", "PREROUTING", asked).verdict?.do;
      expect(reject === "reject").toBe(capture === "redirect");
    }
  }
});
