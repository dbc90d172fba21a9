import { Problems } from "../foundation/problems.ts";
import type { AllOptions, CaptureOptions, Engine, IdRange, RunOptions, Wanted } from "./capture-options.ts";
import { type Cidr, contains, parseCidr } from "./cidr.ts";
import { loopbackNets } from "./rule-builder.ts";
import { selfCallMark } from "./rules-inbound.ts";
import { type Settings, ValueReader } from "./value-readers.ts";

/** The uid that Istio gives its proxy. */
const ISTIO_UID = 1337;
/** The peer's limit, and far above any use. */
const MOST_GROUPS = 64;

export interface Names {
  /** Users of /etc/passwd, groups of /etc/group. */
  readonly users: ReadonlyMap<string, number>;
  readonly groups: ReadonlyMap<string, number>;
}

/** Reads and checks every setting; throws InvalidConfig with all problems. Nothing was looked at but `names`. */
export function readOptions(settings: Settings, names: Names): AllOptions {
  const problems = new Problems();
  const read = new ValueReader(settings, problems);
  const capture = readCapture(read, names);
  const run = readRun(read);
  checkTogether(read, capture, run);
  problems.throwIfAny("cannot use these capture options");
  return { capture, run, notices: notices(settings, capture) };
}

function readCapture(read: ValueReader, names: Names): CaptureOptions {
  const uids = proxyUids(read, names);
  return {
    outboundPort: read.port("envoy-port", 15_001),
    inboundPort: read.port("inbound-capture-port", 15_006),
    tunnelPort: read.port("inbound-tunnel-port", 15_008),
    dnsPort: read.port("dns-capture-port", 15_053),
    proxyUids: uids,
    proxyGids: proxyIds(read, "proxy-gid", names.groups, "group") ?? uids,
    mode: read.choice("istio-inbound-interception-mode", "REDIRECT", ["REDIRECT", "TPROXY", "NONE"]),
    inboundPorts: read.portsOrAll("istio-inbound-ports", []),
    excludeInboundPorts: read.ports("istio-local-exclude-ports"),
    excludeInterfaces: read.interfaces("istio-exclude-interfaces"),
    outboundCidrs: read.cidrsOrAll("istio-service-cidr", []),
    excludeCidrs: read.cidrs("istio-service-exclude-cidr"),
    outboundPorts: read.ports("istio-outbound-ports"),
    excludeOutboundPorts: read.ports("istio-local-outbound-ports-exclude"),
    virtualInterfaces: read.interfaces("kube-virt-interfaces"),
    // The mark after it is the one for the proxy's calls to the pod itself.
    tproxyMark: read.number("istio-inbound-tproxy-mark", 1337, 1, 2 ** 32 - 2, "a packet mark"),
    tproxyTable: read.number("istio-inbound-tproxy-route-table", 133, 1, 2 ** 32 - 1, "a routing table"),
    dns: dnsOf(read),
    dropInvalid: read.flag("drop-invalid"),
    dualStack: read.flag("dual-stack"),
    ipv6: read.choice("ipv6", "auto", ["auto", "capture", "reject", "bypass"]),
    ownerGroups: groupsOf(read, names, "istio-outbound-owner-groups") ?? "all",
    excludeOwnerGroups: excludedGroups(read, names),
    loopbackCidr: loopbackOf(read),
    trace: read.flag("iptables-trace-logging"),
  };
}

function dnsOf(read: ValueReader): CaptureOptions["dns"] {
  const [some, all] = [read.flag("redirect-dns"), read.flag("capture-all-dns")];
  // As the peer: --capture-all-dns widens --redirect-dns and does nothing alone.
  return some ? (all ? "all" : "nameservers") : "off";
}

/** -u, else the user that ENVOY_USER names (istio-proxy), else 1337. */
function proxyUids(read: ValueReader, names: Names): readonly number[] {
  const given = proxyIds(read, "proxy-uid", names.users, "user");
  return given ?? [names.users.get(read.text("envoy-user") ?? "istio-proxy") ?? ISTIO_UID];
}

function proxyIds(
  read: ValueReader,
  name: string,
  names: ReadonlyMap<string, number>,
  what: "user" | "group",
): readonly number[] | undefined {
  const wanted = read.ids(name, names, what);
  if (wanted === undefined) return undefined;
  if (wanted === "all") {
    read.bad(name, `"*" is not allowed here: nothing would be captured; list the ids`);
    return [];
  }
  for (const { from, to } of wanted)
    if (from !== to) read.bad(name, `"${from}-${to}" is a range; list the proxy's ids one by one`);
  return wanted.map(({ from }) => from);
}

function groupsOf(read: ValueReader, names: Names, name: string): Wanted<IdRange> | undefined {
  const groups = read.ids(name, names.groups, "group");
  if (groups !== undefined && groups !== "all" && groups.length > MOST_GROUPS)
    read.bad(name, `${groups.length} groups are too many; use at most ${MOST_GROUPS}, or ranges`);
  return groups;
}

function excludedGroups(read: ValueReader, names: Names): readonly IdRange[] {
  const name = "istio-outbound-owner-groups-exclude";
  const groups = groupsOf(read, names, name) ?? [];
  if (groups !== "all") return groups;
  read.bad(name, `"*" is not allowed here: nothing would be captured; list the groups`);
  return [];
}

function loopbackOf(read: ValueReader): Cidr {
  const name = "istio-outbound-ipv4-loopback-cidr";
  const text = read.text(name) ?? "";
  const cidr = parseCidr(text === "" ? "127.0.0.1/32" : text);
  if (cidr !== undefined && contains(loopbackNets.v4, cidr)) return cidr;
  read.bad(name, `"${text}" is not a loopback range; use 127.0.0.1/32, or a part of 127.0.0.0/8`);
  return loopbackNets.v4;
}

function readRun(read: ValueReader): RunOptions {
  const choice = read.choice("force-iptables-binary", "", ["", "legacy", "nft"]);
  const native = read.flag("native-nftables");
  if (native && choice !== "")
    read.bad("native-nftables", `does not go with --force-iptables-binary ${choice}; use one of the two`);
  const engine: Engine | undefined = native ? "native" : choice === "" ? undefined : choice;
  return {
    dryRun: read.flag("dry-run"),
    explain: read.flag("explain"),
    check: read.flag("check"),
    cleanupOnly: read.flag("cleanup-only"),
    forceApply: read.flag("force-apply"),
    skipApply: read.flag("skip-rule-apply"),
    validate: read.flag("run-validation"),
    probePort: read.port("iptables-probe-port", 15_002),
    probeTimeout: read.duration("probe-timeout", 5_000),
    engine,
    restoreFormat: read.flag("restore-format"),
    networkNamespace: emptyIsNone(read.text("network-namespace")),
  };
}

const emptyIsNone = (text: string | undefined): string | undefined => (text === "" ? undefined : text);

/** What is wrong only in combination. */
function checkTogether(read: ValueReader, capture: CaptureOptions, run: RunOptions): void {
  const { outboundPort, inboundPort, tunnelPort } = capture;
  if (outboundPort === inboundPort)
    read.bad("inbound-capture-port", `${inboundPort} is --envoy-port too; Envoy needs two listeners`);
  if (inboundPort === tunnelPort || outboundPort === tunnelPort)
    read.bad("inbound-tunnel-port", `${tunnelPort} is a capture port too; use another`);
  if (capture.dns !== "off" && [outboundPort, inboundPort].includes(capture.dnsPort))
    read.bad("dns-capture-port", `${capture.dnsPort} is a capture port too; use another`);
  if (selfCallMark(capture.tproxyMark) > 2 ** 32 - 1) read.bad("istio-inbound-tproxy-mark", "is too large");
  if ([253, 254, 255].includes(capture.tproxyTable))
    read.bad(
      "istio-inbound-tproxy-route-table",
      `${capture.tproxyTable} is one of the kernel's own tables; use another`,
    );
  for (const [index, name] of capture.virtualInterfaces.entries())
    if (capture.excludeInterfaces.includes(name))
      read.bad(
        "kube-virt-interfaces",
        `"${name}" (entry ${index + 1}) is in --istio-exclude-interfaces too; use one of the two`,
      );
  if (run.check && run.cleanupOnly) read.bad("check", "does not go with --cleanup-only; use one of the two");
}

function notices(settings: Settings, capture: CaptureOptions): readonly string[] {
  const out: string[] = [];
  const both = (capture.inboundPorts === "all" ? [] : capture.inboundPorts).filter((port) =>
    capture.excludeInboundPorts.includes(port),
  );
  if (both.length > 0) out.push(`inbound ports ${both.join(", ")} are included and excluded: they are excluded`);
  if (settings("capture-all-dns") === "true" && capture.dns === "off")
    out.push("--capture-all-dns does nothing without --redirect-dns");
  if (capture.proxyUids.length === 0) out.push("no proxy uid is given: only the proxy's gid protects from loops");
  const { inboundPorts, outboundCidrs, outboundPorts } = capture;
  if (capture.mode !== "NONE" && inboundPorts.length === 0 && outboundCidrs.length === 0 && outboundPorts.length === 0)
    out.push("nothing is captured: -b, -i and -q are all empty");
  if (settings("cni-mode") === "true") out.push("--cni-mode changes nothing: the rules are the same");
  return out;
}
