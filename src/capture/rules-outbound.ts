import { overlaps } from "./cidr.ts";
import type { Chain, Match, Verdict } from "./model.ts";
import {
  back,
  type Emit,
  except,
  type Ground,
  group,
  inboundSource,
  jump,
  localhost,
  loopbackNets,
  outBy,
  proxyOwners,
  syn,
  tcp,
  to,
  toPort,
  udp,
} from "./rule-builder.ts";

/** nat ISTIO_OUTPUT, in the order of features.md CAP-3: the first rule that fits decides. */
export function outboundRules(ground: Ground, emit: Emit): void {
  const { options } = ground;
  emit("OUTPUT", [], jump("ISTIO_OUTPUT"), "everything that leaves a process of the pod");
  excludedInterfaces(ground, emit);
  excludedPorts(ground, "ISTIO_OUTPUT", [], emit);
  for (const family of ground.families) {
    const source: Match = { is: "source", cidr: inboundSource[family] };
    emit("ISTIO_OUTPUT", [outBy("lo"), source], back, "Envoy's inbound side to the application: was captured already");
  }
  // In TPROXY mode the marks of table mangle do this; here it would catch Envoy's way to the application again.
  if (options.mode === "REDIRECT") selfCalls(ground, emit);
  localTraffic(ground, emit);
  for (const owner of proxyOwners(options))
    emit("ISTIO_OUTPUT", [owner], back, "loop guard: the proxy's own traffic is free");
  if (dnsWanted(ground)) emit("ISTIO_OUTPUT", [], jump("ISTIO_OUTPUT_DNS"), "DNS questions of the application");
  ownerGroups(ground, "ISTIO_OUTPUT", emit);
  for (const family of ground.families)
    emit("ISTIO_OUTPUT", [to(localhost(options)[family])], back, "to localhost stays direct");
  destinations(ground, "ISTIO_OUTPUT", [], jump("ISTIO_REDIRECT"), emit);
  emit(
    "ISTIO_REDIRECT",
    // Only the first packet decides: connections that were open before the rules came are not cut.
    [tcp, syn],
    { do: "redirect", port: options.outboundPort },
    "to Envoy's outbound listener",
  );
}

/** The proxy calls the pod's own address (a service that the pod is part of): through the inbound side. */
function selfCalls(ground: Ground, emit: Emit): void {
  const { options, families } = ground;
  const free = dnsWanted(ground) ? [53, options.tunnelPort] : [options.tunnelPort];
  for (const owner of proxyOwners(options))
    for (const family of families) {
      const away = except(to(localhost(options)[family]));
      emit(
        "ISTIO_OUTPUT",
        [outBy("lo"), away, tcp, except(toPort(...free)), owner],
        jump("ISTIO_IN_REDIRECT"),
        "the proxy calls the pod itself: through the inbound side",
      );
    }
}

/** Between processes of the pod; left out when an include asks for capture of loopback addresses. */
function localTraffic(ground: Ground, emit: Emit): void {
  const { options, families } = ground;
  const includes = options.outboundCidrs === "all" ? [] : options.outboundCidrs;
  if (includes.some((one) => one.length > 0 && families.some((family) => overlaps(one, loopbackNets[family])))) return;
  // All owners in one rule: one rule an owner would let the first decide for the others.
  const others = proxyOwners(options).map(except);
  const butDns = dnsWanted(ground) ? [tcp, except(toPort(53))] : [];
  emit("ISTIO_OUTPUT", [outBy("lo"), ...butDns, ...others], back, "between processes of the pod stays direct");
}

export function excludedInterfaces(ground: Ground, emit: Emit): void {
  for (const name of ground.options.excludeInterfaces)
    emit("ISTIO_OUTPUT", [outBy(name)], back, `excluded interface ${name}`);
}

export function excludedPorts(ground: Ground, chain: Chain, by: readonly Match[], emit: Emit): void {
  for (const port of ground.options.excludeOutboundPorts)
    for (const protocol of [tcp, udp])
      emit(chain, [...by, protocol, toPort(port)], back, `excluded outbound port ${port}`);
}

export function ownerGroups(ground: Ground, chain: Chain, emit: Emit): void {
  const { ownerGroups: wanted, excludeOwnerGroups: excluded } = ground.options;
  if (wanted !== "all")
    emit(
      chain,
      wanted.map((ids) => except(group(ids))),
      back,
      "only the listed owner groups are captured",
    );
  for (const ids of excluded) emit(chain, [group(ids)], back, "excluded owner group");
}

/** By destination: excluded ranges, then included ports and ranges, or everything. */
export function destinations(ground: Ground, chain: Chain, by: readonly Match[], verdict: Verdict, emit: Emit): void {
  const { options } = ground;
  for (const cidr of options.excludeCidrs) emit(chain, [...by, to(cidr)], back, "excluded outbound range");
  for (const port of options.outboundPorts)
    emit(chain, [...by, tcp, toPort(port)], verdict, `included outbound port ${port}`);
  if (options.outboundCidrs === "all") emit(chain, [...by, tcp], verdict, "all other outbound connections");
  else
    for (const cidr of options.outboundCidrs) emit(chain, [...by, tcp, to(cidr)], verdict, "included outbound range");
}

/** Whether DNS is captured in one of the families: without a nameserver there is nothing to capture. */
export function dnsWanted(ground: Ground): boolean {
  const { dns } = ground.options;
  if (dns !== "nameservers") return dns === "all";
  return ground.facts.nameservers.some((one) => ground.families.includes(one.family));
}
