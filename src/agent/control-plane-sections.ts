import type { Millis } from "../foundation/time.ts";
import type { IdentityStatus } from "../identity/workload-identity.ts";
import type { Fact, StatusSection } from "../status/status-document.ts";
import type { XdsStatus } from "../xds/xds-status.ts";
import type { ControlPlaneParts } from "./control-plane-stage.ts";

/** The certificate and the control plane, for the status page; nothing of a key or a token is in it. */
export function controlPlaneSections(parts: ControlPlaneParts | undefined, now: Millis): readonly StatusSection[] {
  if (parts === undefined) return [];
  return [certificateSection(parts.identity.status()), discoverySection(parts.xds.status(), now)];
}

const moods = { valid: "good", waiting: "waiting", expired: "bad" } as const;

function certificateSection(status: IdentityStatus): StatusSection {
  const at = (date: Date | undefined): string | undefined => date?.toISOString();
  const facts: readonly Fact[] = [
    { key: "state", label: "state", value: status.state, mood: moods[status.state] },
    { key: "identity", label: "SPIFFE name", value: status.identity },
    { key: "source", label: "source", value: status.source === "ca" ? "the control plane's CA" : "files" },
    { key: "serialNumber", label: "serial number", value: status.serialNumber },
    { key: "notAfter", label: "expires", value: at(status.notAfter) },
    { key: "renewAt", label: "next rotation", value: at(status.renewAt) },
    { key: "rotations", label: "certificates so far", value: status.rotations },
    { key: "lastError", label: "last error", value: status.reason === "" ? "none" : status.reason },
  ];
  return { key: "certificate", title: "Certificate", facts };
}

function discoverySection(status: XdsStatus, now: number): StatusSection {
  const [stream] = status.streams;
  const reachable = { yes: "good", no: "bad", unknown: "waiting" } as const;
  return {
    key: "controlPlane",
    title: "Control plane",
    facts: [
      { key: "address", label: "address", value: status.upstream },
      { key: "reachable", label: "reachable", value: status.reachable, mood: reachable[status.reachable] },
      { key: "reason", label: "last error", value: status.reason === "" ? "none" : status.reason },
      { key: "streams", label: "streams of Envoy", value: status.streams.length },
      {
        key: "streamAgeMs",
        label: "age of the oldest",
        value: stream === undefined ? undefined : now - stream.since,
        unit: "ms",
      },
    ],
    table: {
      columns: [
        { key: "type", label: "type" },
        { key: "version", label: "last version" },
        { key: "resources", label: "resources" },
        { key: "bytes", label: "size", unit: "bytes" },
        { key: "nack", label: "refused because" },
      ],
      rows: status.streams.flatMap(({ types }) =>
        types.map((one) => ({
          cells: [one.type, one.version, one.resources, one.bytes, one.nack ?? ""],
          ...(one.nack === undefined ? {} : { mood: "bad" as const }),
        })),
      ),
      wide: true,
      empty: "nothing was asked for yet",
    },
  };
}
