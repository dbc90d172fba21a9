import type { Option } from "../command.ts";

/** The environment variable that Istio gives every long flag: `proxy-uid` is PROXY_UID. */
const envOf = (name: string): string => name.toUpperCase().replaceAll("-", "_");

const value = (
  name: string,
  short: string | undefined,
  placeholder: string,
  fallback: string,
  summary: string,
  more: Partial<Option> = {},
): Option => ({
  name,
  ...(short === undefined ? {} : { short }),
  env: envOf(name),
  kind: "string",
  placeholder,
  ...(fallback === "" ? {} : { default: fallback }),
  summary,
  ...more,
});

const flag = (name: string, summary: string, more: Partial<Option> = {}): Option => ({
  name,
  env: envOf(name),
  kind: "boolean",
  summary,
  ...more,
});

const what: readonly Option[] = [
  value("envoy-port", "p", "PORT", "15001", "Envoy's outbound listener: outbound connections go there."),
  value("inbound-capture-port", "z", "PORT", "15006", "Envoy's inbound listener: inbound connections go there."),
  value("inbound-tunnel-port", "e", "PORT", "15008", "HBONE tunnel port, on which Envoy listens itself."),
  value("proxy-uid", "u", "UIDS", "the user ENVOY_USER names, else 1337", "Users whose own traffic is never captured."),
  value("proxy-gid", "g", "GIDS", "the value of -u", "Groups whose own traffic is never captured."),
  value(
    "istio-inbound-interception-mode",
    "m",
    "MODE",
    "REDIRECT",
    "How inbound connections come to Envoy: REDIRECT, TPROXY (addresses kept), or NONE (capture nothing).",
  ),
  value("istio-inbound-ports", "b", "PORTS", "none", 'Inbound ports to capture; "*" is all.'),
  value("istio-local-exclude-ports", "d", "PORTS", "none", "Inbound ports that are never captured."),
  value("istio-exclude-interfaces", "c", "NAMES", "none", "Interfaces whose traffic is left alone in both directions."),
  value("istio-service-cidr", "i", "CIDRS", "none", 'Outbound ranges to capture; "*" is all.'),
  value("istio-service-exclude-cidr", "x", "CIDRS", "none", "Outbound ranges that are never captured."),
  value("istio-outbound-ports", "q", "PORTS", "none", "Outbound ports to capture whatever the address."),
  value("istio-local-outbound-ports-exclude", "o", "PORTS", "none", "Outbound ports that are never captured."),
  value(
    "kube-virt-interfaces",
    "k",
    "NAMES",
    "none",
    "Interfaces of virtual machines: what comes in by them counts as outbound.",
  ),
  value("istio-inbound-tproxy-mark", "t", "MARK", "1337", "TPROXY's packet mark; the number after it is used too."),
  value("istio-inbound-tproxy-route-table", "r", "TABLE", "133", "TPROXY's routing table."),
  flag("redirect-dns", "Capture DNS questions to the nameservers of resolv.conf.", { env: "ISTIO_META_DNS_CAPTURE" }),
  flag("capture-all-dns", "With --redirect-dns: capture DNS questions to every server."),
  value("dns-capture-port", undefined, "PORT", "15053", "Where captured DNS questions go."),
  flag("drop-invalid", "Drop packets that conntrack cannot place.", { env: "INVALID_DROP" }),
  flag("dual-stack", "The proxy listens on both families.", { env: "ISTIO_DUAL_STACK" }),
  value(
    "ipv6",
    undefined,
    "CHOICE",
    "auto",
    "What happens to v6 traffic: capture, reject, bypass, or auto: capture when the proxy listens on v6, else reject what would be captured.",
  ),
  value("istio-outbound-owner-groups", undefined, "GIDS", "*", "Capture only processes of these groups."),
  value("istio-outbound-owner-groups-exclude", undefined, "GIDS", "none", "Do not capture processes of these groups."),
  value("istio-outbound-ipv4-loopback-cidr", undefined, "CIDR", "127.0.0.1/32", "What counts as localhost in v4."),
  value("envoy-user", undefined, "NAME", "istio-proxy", "User whose uid is the default of -u."),
];

const how: readonly Option[] = [
  flag("dry-run", "Print the rules and touch nothing.", { short: "n" }),
  flag("explain", "Print each rule with its reason and touch nothing."),
  flag("restore-format", "With --dry-run: print iptables-restore text, whichever way the rules would be loaded.", {
    short: "f",
  }),
  flag("check", "Compare the kernel with the options and report every difference."),
  flag("cleanup-only", "Remove all that is ours, whatever the options say."),
  flag("force-apply", "Replace the rules even when they are as they should be."),
  flag("reconcile", "Change rules that were made with other options.", { today: "always done" }),
  flag("skip-rule-apply", "Leave the rules as they are; for --run-validation alone."),
  flag("run-validation", "Prove with connections that the rules work."),
  value("iptables-probe-port", undefined, "PORT", "15002", "Port that validation connects to."),
  value("probe-timeout", undefined, "DURATION", "5s", "How long validation may take.", { kind: "duration" }),
  flag("native-nftables", "Load the rules as one nft transaction."),
  value("force-iptables-binary", undefined, "VARIANT", "", "Load the rules by iptables: legacy or nft."),
  flag("iptables-trace-logging", "Put a log rule before each rule (nflog group 1337)."),
  value("network-namespace", undefined, "PATH", "", "Work in this network namespace."),
  flag("cni-mode", "Run for a CNI plugin.", { today: "changes nothing" }),
  value("log_output_level", undefined, "LEVELS", "", "Istio's log levels.", { today: "accepted, without effect" }),
  flag("log_as_json", "Istio's log format.", { today: "accepted, without effect" }),
];

export const iptablesOptions: readonly Option[] = [
  ...what.map((option) => ({ ...option, group: "What is captured" })),
  ...how.map((option) => ({ ...option, group: "What is done" })),
];
