import type { CaptureOptions } from "./capture-options.ts";
import { addressIn, type Cidr, contains, type Family, overlaps, parseHostOrCidr } from "./cidr.ts";
import { type PodFacts, podAddresses } from "./facts.ts";
import { capturedFamilies } from "./ipv6-policy.ts";
import { localhost } from "./rule-builder.ts";
import type { Plan } from "./rules.ts";

/** Who dials: the application, the proxy (by one of its uids or gids), or somebody outside of the pod. */
export type Dialer =
  | { readonly is: "application" }
  | { readonly is: "proxy"; readonly uid: number | undefined; readonly gid: number | undefined }
  | { readonly is: "outside" };

/** Our listeners: in place of Envoy's two, of the agent's DNS, and one that stands for the application. */
export type Place = "outbound" | "inbound" | "dns" | "direct";

/** One connection and where it must arrive, or must not. */
export interface Probe {
  /** What it shows, for a person. */
  readonly label: string;
  readonly family: Family;
  readonly dialer: Dialer;
  readonly protocol: "tcp" | "udp";
  readonly source: string | undefined;
  readonly host: string;
  /** "direct": the port of the listener that stands for the application. */
  readonly port: number | "direct";
  readonly expect: { readonly at: Place } | { readonly notAt: Place } | { readonly refused: true };
}

export interface ProbeGround {
  readonly options: CaptureOptions;
  readonly facts: PodFacts;
  readonly plan: Plan;
  readonly probePort: number;
  /** An address by family that is outside of the pod, and to which the kernel knows a way. */
  readonly away: Readonly<Partial<Record<Family, string>>>;
  /** The pod's address by family as the dialer outside knows it; undefined when nobody outside can dial. */
  readonly podSeenFromOutside: Readonly<Partial<Record<Family, string>>>;
}

const application: Dialer = { is: "application" };
const outside: Dialer = { is: "outside" };

const proxies = (options: CaptureOptions): readonly Dialer[] => [
  ...options.proxyUids.map((uid): Dialer => ({ is: "proxy", uid, gid: undefined })),
  ...options.proxyGids.map((gid): Dialer => ({ is: "proxy", uid: undefined, gid })),
];

const name = (dialer: Dialer): string => {
  if (dialer.is !== "proxy") return dialer.is;
  return dialer.uid === undefined ? `the proxy (gid ${dialer.gid})` : `the proxy (uid ${dialer.uid})`;
};

/** Which connections prove the plan, from the options alone: independent of how the rules are written. */
export function planProbes(ground: ProbeGround): readonly Probe[] {
  if (ground.plan.rules.length === 0) return [];
  return [
    ...capturedFamilies(ground.plan.ipv6).flatMap((family) => [
      ...outboundProbes(ground, family),
      ...guardProbes(ground, family),
      ...dnsProbes(ground, family),
      ...inboundProbes(ground, family),
    ]),
    ...(ground.plan.ipv6.does === "reject" ? rejectProbes(ground) : []),
  ];
}

const tcpProbe = (
  family: Family,
  dialer: Dialer,
  host: string,
  port: number | "direct",
  label: string,
  expect: Probe["expect"],
): Probe => ({
  label: `${family} ${label}: ${name(dialer)} to ${host}`,
  family,
  dialer,
  protocol: "tcp",
  source: undefined,
  host,
  port,
  expect,
});

/** A port that is neither excluded nor one of ours, so that only the address decides. */
function freePort(options: CaptureOptions, from: number): number {
  const taken = [...options.excludeOutboundPorts, ...options.outboundPorts, options.tunnelPort, 53];
  let port = from;
  while (taken.includes(port)) port = (port % 65_535) + 1;
  return port;
}

function outboundProbes(ground: ProbeGround, family: Family): readonly Probe[] {
  const { options, away } = ground;
  const port = freePort(options, ground.probePort);
  const probes: Probe[] = [];
  for (const host of includedHosts(ground, family))
    probes.push(tcpProbe(family, application, host, port, "outbound is captured", { at: "outbound" }));
  const there = away[family];
  if (there !== undefined) {
    for (const wanted of options.outboundPorts)
      if (!options.excludeOutboundPorts.includes(wanted))
        probes.push(tcpProbe(family, application, there, wanted, "an included port is captured", { at: "outbound" }));
    for (const free of options.excludeOutboundPorts)
      probes.push(
        tcpProbe(family, application, there, free, "an excluded port is not captured", { notAt: "outbound" }),
      );
  }
  for (const cidr of options.excludeCidrs.filter((one) => one.family === family)) {
    const host = hostIn(cidr);
    if (host !== undefined)
      probes.push(
        tcpProbe(family, application, host, port, "an excluded range is not captured", { notAt: "outbound" }),
      );
  }
  return probes;
}

/** One address for each included range, or the one outside when all are. */
function includedHosts(ground: ProbeGround, family: Family): readonly string[] {
  const { options, away } = ground;
  const there = away[family];
  const free = (host: string): boolean => {
    const one = parseHostOrCidr(host);
    return one !== undefined && !options.excludeCidrs.some((excluded) => overlaps(excluded, one));
  };
  if (options.outboundCidrs === "all") return there !== undefined && free(there) ? [there] : [];
  return options.outboundCidrs
    .filter((cidr) => cidr.family === family && cidr.length > 0 && !overlaps(cidr, localhost(options)[family]))
    .map((cidr) => (there !== undefined && isIn(there, cidr) ? there : hostIn(cidr)))
    .filter((host) => host !== undefined)
    .filter(free);
}

const isIn = (host: string, cidr: Cidr): boolean => {
  const one = parseHostOrCidr(host);
  return one !== undefined && contains(cidr, one);
};

/** Not the first address of a range, which may be its network address. */
const hostIn = (cidr: Cidr): string | undefined => addressIn(cidr, 1n) ?? addressIn(cidr, 0n);

function guardProbes(ground: ProbeGround, family: Family): readonly Probe[] {
  const { options, away, facts } = ground;
  const probes: Probe[] = [];
  const port = freePort(options, ground.probePort);
  const there = away[family];
  const home = podAddresses(facts).find((one) => one.family === family)?.address;
  const self = options.mode === "TPROXY" || selfIsLocalhost(options, family) ? home : selfAddress[family];
  for (const dialer of proxies(options)) {
    if (there !== undefined) probes.push(tcpProbe(family, dialer, there, port, "loop guard", { notAt: "outbound" }));
    if (self !== undefined && (options.mode === "REDIRECT" || ground.plan.route))
      probes.push({
        ...tcpProbe(family, dialer, self, port, "a call to the pod itself takes the inbound side", { at: "inbound" }),
        // Left alone, the kernel might choose ::6, which means "from Envoy's inbound side".
        source: self === home ? undefined : localAddress[family],
      });
    const [local, from] = [localAddress[family], selfAddress[family]];
    probes.push(tcpProbe(family, dialer, local, "direct", "localhost stays direct", { at: "direct" }));
    const back = tcpProbe(family, dialer, otherLocal[family], "direct", "Envoy reaches the application", {
      at: "direct",
    });
    probes.push({ ...back, source: from });
  }
  if (!asksForLoopback(options)) {
    const local = localAddress[family];
    probes.push(tcpProbe(family, application, local, "direct", "localhost stays direct", { at: "direct" }));
    if (home !== undefined)
      probes.push(
        tcpProbe(family, application, home, "direct", "the pod's own address stays direct", { at: "direct" }),
      );
  }
  return probes;
}

const selfIsLocalhost = (options: CaptureOptions, family: Family): boolean => {
  const self = parseHostOrCidr(selfAddress[family]);
  return self !== undefined && overlaps(self, localhost(options)[family]);
};

const localAddress: Readonly<Record<Family, string>> = { v4: "127.0.0.1", v6: "::1" };
const selfAddress: Readonly<Record<Family, string>> = { v4: "127.0.0.6", v6: "::6" };
/** Not localhost to the rules, but of this host. */
const otherLocal: Readonly<Record<Family, string>> = { v4: "127.0.0.7", v6: "::6" };

const asksForLoopback = (options: CaptureOptions): boolean =>
  options.outboundCidrs !== "all" && options.outboundCidrs.some((one) => overlaps(one, localhost(options)[one.family]));

function dnsProbes(ground: ProbeGround, family: Family): readonly Probe[] {
  const { options, away, facts } = ground;
  if (options.dns === "off") return [];
  const servers =
    options.dns === "all"
      ? [away[family]]
      : facts.nameservers.filter((one) => one.family === family).map((one) => addressIn(one, 0n));
  return servers
    .filter((server) => server !== undefined)
    .flatMap((server) =>
      (["tcp", "udp"] as const).map((protocol) => ({
        ...tcpProbe(family, application, server, 53, `DNS over ${protocol} is captured`, { at: "dns" }),
        protocol,
      })),
    );
}

function inboundProbes(ground: ProbeGround, family: Family): readonly Probe[] {
  const { options } = ground;
  const host = ground.podSeenFromOutside[family];
  if (host === undefined) return [];
  const probe = (port: number | "direct", label: string, expect: Probe["expect"]): Probe =>
    tcpProbe(family, outside, host, port, label, expect);
  const wanted = options.inboundPorts === "all" ? [freeInbound(ground)] : options.inboundPorts;
  return [
    ...wanted
      .filter((port) => !options.excludeInboundPorts.includes(port))
      .map((port) => probe(port, `inbound port ${port} is captured`, { at: "inbound" })),
    ...options.excludeInboundPorts.map((port) => probe(port, `excluded inbound port ${port}`, { notAt: "inbound" })),
    ...(options.inboundPorts === "all" ? [] : [probe("direct", "a port that is not listed", { at: "direct" })]),
  ];
}

function freeInbound(ground: ProbeGround): number {
  const { options } = ground;
  let port = ground.probePort;
  while ([...options.excludeInboundPorts, options.tunnelPort].includes(port)) port = (port % 65_535) + 1;
  return port;
}

function rejectProbes(ground: ProbeGround): readonly Probe[] {
  const there = ground.away.v6;
  if (there === undefined || ground.options.outboundCidrs !== "all") return [];
  const port = freePort(ground.options, ground.probePort);
  return [tcpProbe("v6", application, there, port, "v6 is refused", { refused: true })];
}
