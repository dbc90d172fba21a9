import { describe, expect, test } from "vitest";
import { canonical } from "../../src/capture/model.ts";
import { readNft } from "../../src/capture/read-nft.ts";
import { oursOf, readSaved } from "../../src/capture/read-xtables.ts";
import { tableChange, tableText } from "../../src/capture/restore-text.ts";
import { planCapture } from "../../src/capture/rules.ts";
import { factsOf, optionSets, optionsOf } from "./option-sets.ts";

describe("iptables-save", () => {
  const rule = (text: string): string => {
    const saved = readSaved(`*nat\n:X - [0:0]\n-A X ${text}\nCOMMIT\n`).get("nat")?.rules[0];
    if (saved === undefined) throw new Error(text);
    return canonical(saved);
  };

  test.each([
    ["-s 127.0.0.6/32 -o lo -j RETURN", "out=lo source=127.0.0.6/32 -> return"],
    [
      "! -d 127.0.0.1/32 -o lo -p tcp -m multiport ! --dports 53,15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT",
      "destination!=127.0.0.1/32 dport!=53,15008 out=lo protocol=tcp uid=1337-1337 -> jump ISTIO_IN_REDIRECT",
    ],
    ["-m owner ! --uid-owner 1 -m owner ! --gid-owner 2-3 -j RETURN", "gid!=2-3 uid!=1-1 -> return"],
    [
      "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j REDIRECT --to-ports 15001",
      "protocol=tcp syn -> redirect 15001",
    ],
    [
      "-p tcp -m mark --mark 0x539 -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff",
      "mark=1337 protocol=tcp -> save-mark",
    ],
    ["-j MARK --set-xmark 0x539/0xffffffff", "-> set-mark 1337"],
    ["-p udp -j REJECT --reject-with icmp6-port-unreachable", "protocol=udp -> reject port-unreachable"],
  ])("%s", (text, expected) => {
    expect(rule(text)).toBe(expected);
  });

  test.each([
    "-p icmp -j RETURN",
    "-p tcp -m tcp --dport 80:90 -j RETURN",
    "-p tcp -m tcp --tcp-flags SYN,ACK SYN -j RETURN",
    "-m set --match-set x dst -j RETURN",
    '-m comment --comment "a -j ACCEPT" -j RETURN',
    "-m mark --mark 0x1/0xff -j RETURN",
    "! -p tcp -j RETURN",
    "-j MARK --set-xmark 0x539/0xff",
    "-j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff",
    "-p tcp -j DNAT --to-destination 203.0.113.1",
    "-g ISTIO_OUTPUT",
    "-m owner --socket-exists -j RETURN",
  ])("%s is nothing of ours, and is read all the same", (text) => {
    expect(rule(text)).toMatch(/other|NaN/);
  });

  test("of a table only our chains and the jumps to them are ours, with their places", () => {
    const text = `*nat
:OUTPUT ACCEPT [1:2]
:ISTIO_OUTPUT - [0:0]
:ISTIO_OTHER - [0:0]
-A OUTPUT -p tcp -j ACCEPT
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_OUTPUT -j RETURN
-A ISTIO_OTHER -j RETURN
COMMIT
`;
    expect(oursOf(readSaved(text).get("nat"))).toEqual({
      chains: new Map([["ISTIO_OUTPUT", ["-j RETURN"]]]),
      jumps: [{ chain: "OUTPUT", rule: "-j ISTIO_OUTPUT", at: 2 }],
    });
  });

  test("a change and its undo name the same chains", () => {
    const [seed] = optionSets;
    const tproxy = optionSets.find((one) => one.title === "tproxy");
    if (seed === undefined || tproxy === undefined) throw new Error("no such sets");
    const [a, b] = [seed, tproxy].map((one) =>
      tableText(planCapture(optionsOf(one).capture, factsOf(one)).rules, "nat", "v4"),
    );
    if (a === undefined || b === undefined) throw new Error("no rules");
    const chains = (text: string): readonly string[] => (text.match(/^:\S+/gm) ?? []).toSorted();
    expect(chains(tableChange("nat", a, b))).toEqual(chains(tableChange("nat", b, a)));
    expect(tableChange("nat", a, b)).toContain("-X ISTIO_IN_REDIRECT");
    expect(tableChange("nat", b, a)).toContain("-A ISTIO_IN_REDIRECT");
  });
});

describe("nft's JSON", () => {
  const rule = (...expr: readonly object[]): string => {
    const nftables = [
      { table: { family: "inet", name: "t" } },
      { chain: { family: "inet", table: "t", name: "c" } },
      { rule: { family: "inet", table: "t", chain: "c", expr } },
    ];
    const read = readNft(JSON.stringify({ nftables }))[0]?.chains[0]?.rules[0];
    if (read === undefined) throw new Error("no rule");
    return canonical(read);
  };
  const match = (left: object, right: unknown, op = "=="): object => ({ match: { op, left, right } });
  const flags = { payload: { protocol: "tcp", field: "flags" } };

  test("a first packet, in the shapes of several versions", () => {
    const list = { "&": [flags, ["fin", "syn", "rst", "ack"]] };
    const or = { "&": [flags, { "|": ["fin", "syn", "rst", "ack"] }] };
    for (const left of [list, or])
      expect(rule(match(left, "syn"), { accept: null })).toBe("protocol=tcp syn -> accept");
    expect(rule(match({ "&": [flags, ["syn"]] }, "syn"), { accept: null })).toContain("other");
  });

  test("families, states, sets, ranges", () => {
    expect(rule(match({ meta: { key: "nfproto" } }, "ipv6"), { counter: null }, { jump: { target: "x" } })).toBe(
      "v6 -> jump x",
    );
    expect(rule(match({ ct: { key: "state" } }, ["established", "related"], "in"), { drop: null })).toBe(
      "state=ESTABLISHED,RELATED -> drop",
    );
    expect(rule(match({ ct: { key: "state" } }, "invalid", "in"), { drop: null })).toBe("state=INVALID -> drop");
    expect(
      rule(match({ payload: { protocol: "udp", field: "dport" } }, { set: [53, 54] }, "!="), { return: null }),
    ).toBe("dport!=53,54 protocol=udp -> return");
    expect(rule(match({ meta: { key: "skgid" } }, { range: [5, 9] }), { return: null })).toBe("gid=5-9 -> return");
    expect(rule(match({ meta: { key: "oifname" } }, "eth*"), { return: null })).toBe("out=eth+ -> return");
  });

  test("what is not of ours is read all the same", () => {
    for (const one of [
      [match({ meta: { key: "cgroup" } }, 1), { accept: null }],
      [match({ payload: { protocol: "ip", field: "daddr" } }, "@set"), { accept: null }],
      [{ dnat: { addr: "203.0.113.1" } }],
      [{ xt: { type: "target", name: "LOG" } }],
      [{ accept: null }, { drop: null }],
    ])
      expect(rule(...one)).toContain("other");
  });

  test("an answer without tables, and one that is none", () => {
    expect(readNft('{"nftables":[{"metainfo":{}}]}')).toEqual([]);
    expect(readNft("{}")).toEqual([]);
    expect(() => readNft("nonsense")).toThrow(SyntaxError);
  });
});
