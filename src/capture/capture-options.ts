import type { Cidr } from "./cidr.ts";

/** Everything or a list; an empty list is nothing. */
export type Wanted<T> = "all" | readonly T[];

/** A uid or gid, or a range of them as `-m owner` takes it. */
export interface IdRange {
  readonly from: number;
  readonly to: number;
}

export type Mode = "REDIRECT" | "TPROXY" | "NONE";
export type Ipv6Choice = "capture" | "reject" | "bypass" | "auto";

/** What to capture: read from flags and environment, checked, with every default filled in. */
export interface CaptureOptions {
  /** Envoy's outbound listener (-p). */
  readonly outboundPort: number;
  /** Envoy's inbound listener (-z). */
  readonly inboundPort: number;
  /** HBONE tunnel port, on which Envoy listens itself (-e). */
  readonly tunnelPort: number;
  /** Where captured DNS questions go. */
  readonly dnsPort: number;
  /** Whose own traffic is never captured (-u, -g). */
  readonly proxyUids: readonly number[];
  readonly proxyGids: readonly number[];
  /** How inbound connections come to Envoy (-m). NONE captures nothing at all. */
  readonly mode: Mode;
  /** -b */
  readonly inboundPorts: Wanted<number>;
  /** -d: inbound ports that are never captured, also when -b lists them. */
  readonly excludeInboundPorts: readonly number[];
  /** -c: traffic of these interfaces is left alone in both directions. */
  readonly excludeInterfaces: readonly string[];
  /** -i */
  readonly outboundCidrs: Wanted<Cidr>;
  /** -x */
  readonly excludeCidrs: readonly Cidr[];
  /** -q: captured whatever the destination's address is. */
  readonly outboundPorts: readonly number[];
  /** -o */
  readonly excludeOutboundPorts: readonly number[];
  /** -k: what comes in by them (a virtual machine's traffic) counts as outbound. */
  readonly virtualInterfaces: readonly string[];
  /** -t, -r: TPROXY's packet mark and routing table. */
  readonly tproxyMark: number;
  readonly tproxyTable: number;
  readonly dns: "off" | "nameservers" | "all";
  readonly dropInvalid: boolean;
  readonly dualStack: boolean;
  readonly ipv6: Ipv6Choice;
  /** Only processes of these groups are captured. */
  readonly ownerGroups: Wanted<IdRange>;
  readonly excludeOwnerGroups: readonly IdRange[];
  /** What counts as "localhost" in v4; 127.0.0.1/32 unless ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR says otherwise. */
  readonly loopbackCidr: Cidr;
  /** A log rule before each rule. */
  readonly trace: boolean;
}

/** The ways into the kernel: one nft transaction, or iptables in one of its two variants. */
export type Engine = "native" | "nft" | "legacy";

/** What to do with the rules. */
export interface RunOptions {
  readonly dryRun: boolean;
  readonly explain: boolean;
  readonly check: boolean;
  readonly cleanupOnly: boolean;
  /** Replace the rules even when they are as they should be. */
  readonly forceApply: boolean;
  readonly skipApply: boolean;
  readonly validate: boolean;
  readonly probePort: number;
  /** Milliseconds. */
  readonly probeTimeout: number;
  /** undefined: where our rules are already, else the best that works. */
  readonly engine: Engine | undefined;
  /** --restore-format was given: a dry run prints iptables-restore text. */
  readonly restoreFormat: boolean;
  /** Path of another network namespace to work in. */
  readonly networkNamespace: string | undefined;
}

export interface AllOptions {
  readonly capture: CaptureOptions;
  readonly run: RunOptions;
  /** One sentence for each thing that was accepted but does not do what one may think. */
  readonly notices: readonly string[];
}
