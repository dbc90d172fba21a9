import type { Chain, Match, Verdict } from "./model.ts";
import {
  back,
  type Emit,
  except,
  type Ground,
  inBy,
  inboundSource,
  jump,
  localhost,
  marked,
  outBy,
  proxyOwners,
  syn,
  tcp,
  to,
  toPort,
} from "./rule-builder.ts";
import { destinations, excludedPorts } from "./rules-outbound.ts";

/** Marks the proxy's calls to the pod itself, so that they take the inbound side: one above TPROXY's own mark. */
export const selfCallMark = (tproxyMark: number): number => tproxyMark + 1;

export const capturesInbound = (ground: Ground): boolean =>
  ground.options.inboundPorts === "all" || ground.options.inboundPorts.length > 0;

/** nat PREROUTING: what arrives from outside in REDIRECT mode, and virtual machines' traffic in both. */
export function inboundRules(ground: Ground, emit: Emit): void {
  const { options } = ground;
  const redirects = options.mode === "REDIRECT";
  if ((redirects && capturesInbound(ground)) || options.virtualInterfaces.length > 0)
    emit("PREROUTING", [tcp], jump("ISTIO_INBOUND"), "connections that arrive from outside");
  excludedInterfaces(ground, emit);
  virtualInterfaces(ground, "ISTIO_INBOUND", jump("ISTIO_REDIRECT"), emit);
  if (redirects) {
    inboundPorts(ground, [], jump("ISTIO_IN_REDIRECT"), emit);
    const verdict: Verdict = { do: "redirect", port: options.inboundPort };
    emit("ISTIO_IN_REDIRECT", [tcp, syn], verdict, "to Envoy's inbound listener");
  }
}

/** Only where inbound rules are at all: an unreferenced chain would be noise. */
export function excludedInterfaces(ground: Ground, emit: Emit): void {
  for (const name of ground.options.excludeInterfaces)
    emit("ISTIO_INBOUND", [inBy(name)], back, `excluded interface ${name}`);
}

export function virtualInterfaces(ground: Ground, chain: Chain, verdict: Verdict, emit: Emit): void {
  for (const name of ground.options.virtualInterfaces) {
    excludedPorts(ground, chain, [inBy(name)], emit);
    destinations(ground, chain, [inBy(name)], verdict, emit);
    emit(chain, [inBy(name)], back, `the rest of virtual interface ${name} is not inbound traffic`);
  }
}

/** Excluded ports first, whether all ports are captured or a list. */
export function inboundPorts(ground: Ground, more: readonly Match[], verdict: Verdict, emit: Emit): void {
  if (!capturesInbound(ground)) return;
  const { options } = ground;
  freePorts(ground, emit);
  for (const ports of wantedPorts(options.inboundPorts))
    emit("ISTIO_INBOUND", [tcp, ...ports, ...more], verdict, inboundReason(ports));
}

function freePorts(ground: Ground, emit: Emit): void {
  const { tunnelPort, excludeInboundPorts } = ground.options;
  emit("ISTIO_INBOUND", [tcp, toPort(tunnelPort)], back, "HBONE tunnel: Envoy listens there itself");
  for (const port of excludeInboundPorts)
    emit("ISTIO_INBOUND", [tcp, toPort(port)], back, `excluded inbound port ${port}`);
}

const wantedPorts = (wanted: "all" | readonly number[]): readonly (readonly Match[])[] =>
  wanted === "all" ? [[]] : wanted.map((port) => [toPort(port)]);

const inboundReason = (ports: readonly Match[]): string =>
  ports.length === 0 ? "all other inbound connections" : "included inbound port";

/** mangle in TPROXY mode: inbound connections keep both of their addresses. */
export function tproxyRules(ground: Ground, emit: Emit): void {
  const { options } = ground;
  const verdict = jump("ISTIO_TPROXY");
  emit("PREROUTING", [tcp], jump("ISTIO_INBOUND"), "connections that arrive from outside");
  excludedInterfaces(ground, emit);
  for (const name of options.virtualInterfaces)
    emit("ISTIO_INBOUND", [inBy(name)], back, `virtual interface ${name}: table nat treats it as outbound`);
  noLoops(ground, emit);
  freePorts(ground, emit);
  const established: Match = { is: "state", states: ["ESTABLISHED", "RELATED"] };
  for (const ports of wantedPorts(options.inboundPorts)) {
    emit("ISTIO_INBOUND", [tcp, ...ports, established], jump("ISTIO_DIVERT"), "later packets of a connection");
    emit("ISTIO_INBOUND", [tcp, ...ports], verdict, inboundReason(ports));
  }
  emit("ISTIO_DIVERT", [], { do: "set-mark", mark: options.tproxyMark }, "the mark's route delivers them locally");
  emit("ISTIO_DIVERT", [], { do: "accept" }, "done");
  for (const family of ground.families) {
    const away = except(to(localhost(options)[family]));
    const take: Verdict = { do: "tproxy", port: options.inboundPort, mark: options.tproxyMark };
    emit("ISTIO_TPROXY", [away, tcp, syn], take, "to Envoy's inbound listener, addresses kept");
    // nft goes on to the next rule when nobody listens; iptables' TPROXY drops by itself.
    emit("ISTIO_TPROXY", [away, tcp, syn], { do: "drop" }, "Envoy does not listen: closed, not open");
  }
  tproxyOutput(ground, emit);
}

function noLoops(ground: Ground, emit: Emit): void {
  const mark = ground.options.tproxyMark;
  const reason = "Envoy's connection to the application in the client's name";
  emit("ISTIO_INBOUND", [tcp, marked(mark)], { do: "save-mark" }, `${reason}: its answers need the mark`);
  emit("ISTIO_INBOUND", [marked(mark)], back, reason);
  for (const family of ground.families) {
    const source: Match = { is: "source", cidr: inboundSource[family] };
    emit("ISTIO_INBOUND", [inBy("lo"), source], back, "Envoy's inbound side to the application: was captured already");
  }
  emit(
    "ISTIO_INBOUND",
    [inBy("lo"), except(marked(selfCallMark(mark)) as Extract<Match, { is: "mark" }>)],
    back,
    "of local traffic only the proxy's calls to the pod itself",
  );
}

function tproxyOutput(ground: Ground, emit: Emit): void {
  const { options } = ground;
  const mark = options.tproxyMark;
  emit("OUTPUT", [tcp], jump("ISTIO_OUTPUT"), "marks for what must take the inbound side");
  emit("ISTIO_OUTPUT", [outBy("lo"), marked(mark)], back, "Envoy's connection to the application: keep its mark");
  for (const owner of proxyOwners(options))
    for (const family of ground.families) {
      const away = except(to(localhost(options)[family]));
      const verdict: Verdict = { do: "set-mark", mark: selfCallMark(mark) };
      emit("ISTIO_OUTPUT", [outBy("lo"), away, owner], verdict, "the proxy calls the pod itself: mark it as inbound");
    }
  const answers: Match = { is: "connmark", value: mark };
  emit("ISTIO_OUTPUT", [answers], { do: "restore-mark" }, "the application's answers go back through Envoy");
}
