import type { Cidr } from "./cidr.ts";
import type { Match } from "./model.ts";
import {
  back,
  type Emit,
  fromPort,
  type Ground,
  jump,
  proxyOwners,
  syn,
  tcp,
  to,
  toPort,
  udp,
} from "./rule-builder.ts";
import { dnsWanted } from "./rules-outbound.ts";

/** No limit, or one for each nameserver that the pod uses. */
function servers(ground: Ground, side: (cidr: Cidr) => Match): readonly (readonly Match[])[] {
  if (ground.options.dns === "all") return [[]];
  return ground.facts.nameservers.filter((one) => ground.families.includes(one.family)).map((one) => [side(one)]);
}

const from = (cidr: Cidr): Match => ({ is: "source", cidr });

/** nat ISTIO_OUTPUT_DNS: the application's questions come to the agent. The proxy's own returned before. */
export function dnsRules(ground: Ground, emit: Emit): void {
  if (!dnsWanted(ground)) return;
  const verdict = { do: "redirect", port: ground.options.dnsPort } as const;
  for (const server of servers(ground, to)) {
    emit("ISTIO_OUTPUT_DNS", [tcp, syn, ...server, toPort(53)], verdict, "DNS over TCP to the agent");
    emit("ISTIO_OUTPUT_DNS", [udp, ...server, toPort(53)], verdict, "DNS over UDP to the agent");
  }
}

/**
 * raw: the same question can be asked by the application and passed on by the agent from the same port at the same
 * time; in one conntrack zone the second would be given the first one's translation.
 */
export function dnsZoneRules(ground: Ground, emit: Emit): void {
  if (!dnsWanted(ground)) return;
  emit("OUTPUT", [udp], jump("ISTIO_OUTPUT_DNS"), "conntrack zones for DNS");
  for (const owner of proxyOwners(ground.options)) {
    emit("ISTIO_OUTPUT_DNS", [udp, toPort(53), owner], { do: "zone", zone: 1 }, "the agent's own questions: zone 1");
    emit("ISTIO_OUTPUT_DNS", [udp, toPort(53), owner], back, "done");
    const answers = fromPort(ground.options.dnsPort);
    emit("ISTIO_OUTPUT_DNS", [udp, answers, owner], { do: "zone", zone: 2 }, "the agent's answers: zone 2");
  }
  for (const server of servers(ground, to))
    emit(
      "ISTIO_OUTPUT_DNS",
      [udp, ...server, toPort(53)],
      { do: "zone", zone: 2 },
      "the application's questions: zone 2",
    );
  emit("PREROUTING", [udp], jump("ISTIO_INBOUND"), "conntrack zones for DNS");
  for (const server of servers(ground, from))
    emit("ISTIO_INBOUND", [udp, ...server, fromPort(53)], { do: "zone", zone: 1 }, "answers to the agent: zone 1");
}
