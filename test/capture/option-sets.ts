import type { AllOptions } from "../../src/capture/capture-options.ts";
import type { PodFacts } from "../../src/capture/facts.ts";
import { nameserversOf } from "../../src/capture/facts.ts";
import { readOptions } from "../../src/capture/read-options.ts";
import type { InterfaceAddress } from "../../src/system/network.ts";

/** Pods as the rules see them; the integration tests make real ones with the same addresses. */
export const pods = {
  v4: ["10.77.0.2/24"],
  dual: ["10.77.0.2/24", "fd77::2/64"],
  v6: ["fd77::2/64"],
  v6first: ["fd77::2/64", "10.77.0.2/24"],
  none: [],
  linkLocal: ["10.77.0.2/24", "fe80::2/64"],
} as const satisfies Readonly<Record<string, readonly string[]>>;
export type PodKind = keyof typeof pods;

export interface OptionSet {
  readonly title: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly pod?: PodKind;
  readonly resolvConf?: string;
}

const short: Readonly<Record<string, string>> = {
  p: "envoy-port",
  z: "inbound-capture-port",
  e: "inbound-tunnel-port",
  u: "proxy-uid",
  g: "proxy-gid",
  m: "istio-inbound-interception-mode",
  b: "istio-inbound-ports",
  d: "istio-local-exclude-ports",
  c: "istio-exclude-interfaces",
  i: "istio-service-cidr",
  x: "istio-service-exclude-cidr",
  q: "istio-outbound-ports",
  o: "istio-local-outbound-ports-exclude",
  k: "kube-virt-interfaces",
  t: "istio-inbound-tproxy-mark",
  r: "istio-inbound-tproxy-route-table",
};

/** The seed's options with some replaced; short names as on the command line. */
function set(title: string, changes: Readonly<Record<string, string>> = {}, more: Partial<OptionSet> = {}): OptionSet {
  const settings: Record<string, string> = {
    "istio-service-cidr": "*",
    "istio-service-exclude-cidr": "",
    "istio-inbound-ports": "*",
    "istio-local-exclude-ports": "15090,15020",
    "proxy-uid": "1337",
  };
  for (const [name, value] of Object.entries(changes)) settings[short[name] ?? name] = value;
  return { title, settings, ...more };
}

const dns = { "redirect-dns": "true" };
const allDns = { ...dns, "capture-all-dns": "true" };
const tproxy = { m: "TPROXY" };
const dual = { "dual-stack": "true" };
const resolvConf = "search x\nnameserver 10.96.0.10\nnameserver fd96::a\n";

/** Each row of capture-and-injection.md 2.2, alone and in the combinations that touch the same rules. */
export const optionSets: readonly OptionSet[] = [
  set("seed"),
  set("inbound-port-list", { b: "80,8080" }),
  set("inbound-list-and-excluded", { b: "80,8080", d: "8080" }),
  set("no-inbound", { b: "" }),
  set("injected-excludes", { d: "22,15090,15021,15020" }),
  set("outbound-ranges", { i: "10.0.0.0/8,172.16.0.0/12" }),
  set("no-outbound", { i: "" }),
  set("outbound-loopback-range", { i: "127.0.0.0/8" }),
  set("outbound-everything-as-range", { i: "0.0.0.0/0" }),
  set("excluded-ranges", { x: "10.1.0.0/16,169.254.169.254/32" }),
  set("excluded-within-included", { i: "10.0.0.0/8", x: "10.1.0.0/16" }),
  set("host-bits-set", { i: "10.1.2.3/8" }),
  set("outbound-ports", { q: "80,443", i: "" }),
  set("outbound-ports-and-all", { q: "80,443" }),
  set("excluded-outbound-ports", { o: "3306,5432" }),
  set("excluded-interfaces", { c: "eth1,net1" }),
  set("interface-prefix", { c: "cali+" }),
  set("virtual-interfaces", { k: "vnet0,vnet1" }),
  set("virtual-interfaces-ranges", { k: "vnet0", i: "10.0.0.0/8", x: "10.1.0.0/16", b: "" }),
  set("several-uids", { u: "1337,1000", g: "1337,2000" }),
  set("owner-groups", { "istio-outbound-owner-groups": "2000,java,3000-3010" }),
  set("owner-groups-excluded", { "istio-outbound-owner-groups-exclude": "2000,2001" }),
  set("loopback-range", { "istio-outbound-ipv4-loopback-cidr": "127.0.0.0/8" }),
  set("other-ports", { e: "16008", p: "25001", z: "25006" }),
  set("drop-invalid", { "drop-invalid": "true" }),
  set("dns-all", allDns),
  set("dns-nameservers", dns, { resolvConf }),
  set("dns-no-nameserver", dns, { resolvConf: "" }),
  set("dns-several-uids", { ...allDns, u: "1337,1338" }),
  set("tproxy", tproxy),
  set("tproxy-port-list", { ...tproxy, b: "80,8080" }),
  set("tproxy-no-inbound", { ...tproxy, b: "" }),
  set("tproxy-mark-table", { ...tproxy, t: "4242", r: "144" }),
  set("tproxy-dns-drop", { ...tproxy, ...allDns, "drop-invalid": "true", c: "eth1", k: "vnet0" }),
  set("dual-capture", dual, { pod: "dual" }),
  set("dual-ranges", { ...dual, i: "10.0.0.0/8,fd00::/8", x: "10.1.0.0/16,fd01::/16" }, { pod: "dual" }),
  set("dual-dns", { ...dual, ...dns }, { pod: "dual", resolvConf }),
  set("dual-tproxy", { ...tproxy, ...dual, ...allDns }, { pod: "dual" }),
  set("v6-only", {}, { pod: "v6" }),
  set("v6-first", {}, { pod: "v6first" }),
  set("v6-rejected", {}, { pod: "dual" }),
  set(
    "v6-rejected-options",
    {
      ...dns,
      i: "fd00::/8,10.0.0.0/8",
      x: "fd01::/16",
      o: "25",
      c: "eth1",
      k: "vnet0",
      "istio-outbound-owner-groups-exclude": "7",
    },
    { pod: "dual", resolvConf },
  ),
  set("v6-rejected-tproxy", { ...tproxy, ...allDns, b: "80" }, { pod: "dual" }),
  set("v6-link-local-only", {}, { pod: "linkLocal" }),
  set("v6-bypass", { ipv6: "bypass" }, { pod: "dual" }),
  set("v6-forced-capture", { ipv6: "capture" }),
  set("no-address-yet", {}, { pod: "none" }),
  set("trace", { "iptables-trace-logging": "true", ...allDns }),
  set("mode-none", { m: "NONE" }),
];

export const names = { users: new Map([["istio-proxy", 1337]]), groups: new Map([["java", 4711]]) };

export const optionsOf = (one: OptionSet, more: Readonly<Record<string, string>> = {}): AllOptions =>
  readOptions((name) => ({ ...one.settings, ...more })[name], names);

export function factsOf(one: OptionSet): PodFacts {
  const loopback: readonly InterfaceAddress[] = [
    { interfaceName: "lo", address: "127.0.0.1", family: "v4", loopback: true, linkLocal: false },
    { interfaceName: "lo", address: "::1", family: "v6", loopback: true, linkLocal: false },
  ];
  const others = pods[one.pod ?? "v4"].map((text): InterfaceAddress => {
    const address = text.split("/")[0] ?? "";
    return {
      interfaceName: "eth0",
      address,
      family: address.includes(":") ? "v6" : "v4",
      loopback: false,
      linkLocal: address.startsWith("fe80:"),
    };
  });
  return {
    addresses: [...loopback, ...others],
    nameservers: nameserversOf(one.resolvConf ?? "nameserver 10.96.0.10\n"),
  };
}
