import type { Match } from "./model.ts";
import {
  back,
  type Emit,
  type Ground,
  inBy,
  jump,
  outBy,
  proxyOwners,
  syn,
  tcp,
  to,
  toPort,
  udp,
} from "./rule-builder.ts";
import {
  capturesInbound,
  excludedInterfaces as excludedInbound,
  inboundPorts,
  virtualInterfaces,
} from "./rules-inbound.ts";
import { destinations, dnsWanted, excludedInterfaces, excludedPorts, ownerGroups } from "./rules-outbound.ts";

/**
 * Table filter, for v6 when the proxy does not listen on it: what would be captured is refused at once, so that a
 * client falls back to v4. What capture lets pass, this lets pass; only first packets are refused.
 */
export function rejectRules(ground: Ground, emit: Emit): void {
  const verdict = jump("ISTIO_REJECT");
  emit("OUTPUT", [], jump("ISTIO_OUTPUT"), "v6 that leaves: the proxy does not listen on v6");
  emit("ISTIO_OUTPUT", [outBy("lo")], back, "between processes of the pod stays direct");
  excludedInterfaces(ground, emit);
  excludedPorts(ground, "ISTIO_OUTPUT", [], emit);
  for (const owner of proxyOwners(ground.options))
    emit("ISTIO_OUTPUT", [owner], back, "the proxy's own traffic is free");
  rejectDns(ground, emit);
  ownerGroups(ground, "ISTIO_OUTPUT", emit);
  destinations(ground, "ISTIO_OUTPUT", [], verdict, emit);
  if (capturesInbound(ground)) {
    emit("INPUT", [tcp], jump("ISTIO_INBOUND"), "v6 that arrives: the proxy does not listen on v6");
    emit("ISTIO_INBOUND", [inBy("lo")], back, "between processes of the pod stays direct");
    excludedInbound(ground, emit);
    inboundPorts(ground, [], verdict, emit);
  }
  if (ground.options.virtualInterfaces.length > 0) {
    emit("FORWARD", [], jump("ISTIO_FORWARD"), "v6 of virtual machines");
    virtualInterfaces(ground, "ISTIO_FORWARD", verdict, emit);
  }
  emit("ISTIO_REJECT", [tcp, syn], { do: "reject", by: "tcp-reset" }, "refused at once, so that the client tries v4");
  if (dnsWanted(ground)) emit("ISTIO_REJECT", [udp], { do: "reject", by: "port-unreachable" }, "refused at once (DNS)");
}

function rejectDns(ground: Ground, emit: Emit): void {
  if (!dnsWanted(ground)) return;
  const servers: readonly (readonly Match[])[] =
    ground.options.dns === "all"
      ? [[]]
      : ground.facts.nameservers.filter((one) => ground.families.includes(one.family)).map((one) => [to(one)]);
  for (const server of servers)
    for (const protocol of [tcp, udp])
      emit("ISTIO_OUTPUT", [protocol, ...server, toPort(53)], jump("ISTIO_REJECT"), "DNS questions over v6");
}
