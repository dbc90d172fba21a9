import type { Millis } from "../foundation/time.ts";
import type { IdentityStatus } from "../identity/workload-identity.ts";
import type { SdsStatus } from "../sds/sds-server.ts";
import type { Fact, Mood, Row, StatusSection } from "../status/status-document.ts";
import type { StreamStatus, XdsStatus } from "../xds/xds-status.ts";

const certificateMoods: Readonly<Record<IdentityStatus["state"], Mood>> = {
  waiting: "waiting",
  valid: "good",
  expired: "bad",
};

/** The workload's certificate: whose, until when, when the next one comes, and how the secret service stands. */
export function certificateSection(identity: IdentityStatus, secrets: SdsStatus, wall: Date): StatusSection {
  const { source, state, reason, notAfter, renewAt, rotations, serialNumber } = identity;
  const left = (date: Date | undefined): number | undefined => date && date.getTime() - wall.getTime();
  const refused = secrets.nacks.flatMap((one) => one.names);
  return {
    key: "certificate",
    title: "Certificate",
    facts: [
      { key: "state", label: "state", value: state, mood: certificateMoods[state] },
      ...optional("reason", "because", reason),
      { key: "identity", label: "identity", value: identity.identity },
      { key: "source", label: "from", value: source },
      { key: "serialNumber", label: "serial number", value: serialNumber },
      { key: "notAfter", label: "until", value: notAfter?.toISOString() },
      { key: "leftMs", label: "that is in", value: left(notAfter), unit: "ms" },
      { key: "renewInMs", label: "next one in", value: left(renewAt), unit: "ms" },
      { key: "certificates", label: "so far", value: rotations },
      { key: "secretService", label: "secret service", value: secrets.mode },
      {
        key: "secretStreams",
        label: "asked by",
        value: `${secrets.streams} streams: ${secrets.asked.join(", ") || "-"}`,
      },
      ...(refused.length === 0
        ? []
        : [{ key: "refused", label: "refused", value: refused.join(", "), mood: "bad" as const }]),
    ],
  };
}

const optional = (key: string, label: string, value: string): readonly Fact[] =>
  value === "" ? [] : [{ key, label, value }];

const reachableMoods = { unknown: "waiting", yes: "good", no: "bad" } as const satisfies Record<string, Mood>;

/** The control plane: whether it can be reached, and for each stream and type what was got and taken. */
export function controlPlaneSection(xds: XdsStatus, now: Millis): StatusSection {
  const { upstream, reachable, reason, failures, streams, turnedAway } = xds;
  return {
    key: "controlPlane",
    title: "Control plane",
    facts: [
      { key: "upstream", label: "address", value: upstream },
      { key: "reachable", label: "reachable", value: reachable, mood: reachableMoods[reachable] },
      ...optional("reason", "because", reason),
      { key: "failures", label: "failed tries", value: failures, ...(failures > 0 ? { mood: "bad" as const } : {}) },
      { key: "streams", label: "streams", value: streams.length },
      ...(turnedAway === 0
        ? []
        : [{ key: "turnedAway", label: "turned away", value: turnedAway, mood: "bad" as const }]),
    ],
    table: {
      columns: [
        { key: "pid", label: "Envoy" },
        { key: "stream", label: "stream" },
        { key: "ageMs", label: "age", unit: "ms" },
        { key: "type", label: "type" },
        { key: "resources", label: "resources" },
        { key: "bytes", label: "size", unit: "bytes" },
        { key: "version", label: "version" },
        { key: "taken", label: "taken" },
      ],
      rows: streams.flatMap((stream) => streamRows(stream, now)),
      wide: true,
      empty: "Envoy has no stream",
    },
  };
}

function streamRows({ pid, variant, state, since, types, reason }: StreamStatus, now: Millis): readonly Row[] {
  const name = `${variant}, ${state}${reason === "" ? "" : `: ${reason}`}`;
  const head = [pid, name, now - since] as const;
  if (types.length === 0) return [{ cells: [...head, undefined, undefined, undefined, undefined, undefined] }];
  return types.map(({ type, resources, bytes, version, acked, nack }) => ({
    cells: [...head, type, resources, bytes, version, nack === undefined ? acked : `refused: ${nack}`],
    ...(nack === undefined ? {} : { mood: "bad" as const }),
  }));
}
