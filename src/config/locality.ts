import type { Locality } from "./agent-config.ts";

export const LOCALITY_LABEL = "istio-locality";

/** `region/zone/subzone` of the label's value: a label can't hold "/", so "." stands for it when there is none. */
export const localityText = (label: string): string => (label.includes("/") ? label : label.replaceAll(".", "/"));

/** The node's locality: the label istio-locality, then PILOTFISH_LOCALITY, then the labels that Kubernetes puts on nodes. */
export function localityOf(
  labels: ReadonlyMap<string, string>,
  fromEnvironment: string | undefined,
): Locality | undefined {
  const text = labels.get(LOCALITY_LABEL) || fromEnvironment;
  if (text !== undefined && text !== "") return parseLocality(localityText(text));
  const region = labels.get("topology.kubernetes.io/region") ?? labels.get("failure-domain.beta.kubernetes.io/region");
  const zone = labels.get("topology.kubernetes.io/zone") ?? labels.get("failure-domain.beta.kubernetes.io/zone");
  const subZone = labels.get("topology.istio.io/subzone");
  if (region === undefined && zone === undefined && subZone === undefined) return undefined;
  return { region: region ?? "", zone: zone ?? "", subZone: subZone ?? "" };
}

export function parseLocality(text: string): Locality {
  const [region = "", zone = "", subZone = ""] = text.split("/");
  return { region, zone, subZone };
}
