import { describe, expect, test } from "vitest";
import { certificateSection, controlPlaneSection } from "../../src/agent/control-plane-sections.ts";
import type { IdentityStatus } from "../../src/identity/workload-identity.ts";
import type { SdsStatus } from "../../src/sds/sds-server.ts";
import { statusText } from "../../src/status/status-text.ts";
import type { XdsStatus } from "../../src/xds/xds-status.ts";

const wall = new Date("2030-01-01T00:00:00Z");
const identity: IdentityStatus = {
  source: "ca",
  state: "valid",
  reason: "",
  identity: "spiffe://cluster.local/ns/b/sa/default",
  serialNumber: "0a1b",
  notBefore: new Date("2029-12-31T12:00:00Z"),
  notAfter: new Date("2030-01-01T12:00:00Z"),
  renewAt: new Date("2030-01-01T00:05:00Z"),
  rotations: 3,
  expiries: [],
};
const secrets: SdsStatus = {
  mode: "own",
  socket: "/x",
  connections: 1,
  streams: 1,
  asked: ["default", "ROOTCA"],
  pushes: 4,
  acked: new Map(),
  nacks: [],
  turnedAway: 0,
};
const type = {
  type: "CDS",
  typeUrl: "t",
  requests: 2,
  responses: 1,
  names: ["*"],
  version: "v1",
  resources: 12,
  bytes: 3_400,
  acked: "v1",
  nack: undefined,
};
const xds: XdsStatus = {
  listening: true,
  upstream: "istiod.istio-system.svc:15012",
  reachable: "yes",
  reason: "",
  failures: 0,
  streams: [
    {
      id: 1,
      pid: 42,
      variant: "delta",
      state: "open",
      since: 1_000,
      receivedClusters: true,
      receivedListeners: false,
      reason: "",
      types: [type, { ...type, type: "LDS", acked: undefined, nack: "duplicate listener" }],
    },
  ],
  configured: [],
  turnedAway: 0,
};
const text = (section: ReturnType<typeof controlPlaneSection>) => statusText([section], { colour: false });

describe("certificate", () => {
  test("a valid one", () => {
    expect(text(certificateSection(identity, secrets, wall))).toBe(`Certificate
+ state           valid
  identity        spiffe://cluster.local/ns/b/sa/default
  from            ca
  serial number   0a1b
  until           2030-01-01T12:00:00.000Z
  that is in      12 h 0 min
  next one in     5 min 0 s
  so far          3
  secret service  own
  asked by        1 streams: default, ROOTCA
`);
  });

  test("none yet, and a refused secret", () => {
    const none = {
      ...identity,
      state: "waiting" as const,
      reason: "the CA refuses the token",
      notAfter: undefined,
      renewAt: undefined,
    };
    const nacks = [{ names: ["default"], text: "bad key" }] as unknown as SdsStatus["nacks"];
    const shown = text(certificateSection(none, { ...secrets, nacks }, wall));
    expect(shown).toContain("~ state           waiting\n  because         the CA refuses the token\n");
    expect(shown).toContain("! refused         default\n");
    expect(shown).toContain("  until           not known\n");
  });
});

describe("control plane", () => {
  test("streams and types; what Envoy refused stands out", () => {
    expect(text(controlPlaneSection(xds, 61_000))).toBe(
      `Control plane
  address       istiod.istio-system.svc:15012
+ reachable     yes
  failed tries  0
  streams       1
  Envoy  stream       age        type  resources  size    version  taken
  42     delta, open  1 min 0 s  CDS   12         3.4 kB  v1       v1
! 42     delta, open  1 min 0 s  LDS   12         3.4 kB  v1       refused: duplicate listener
`,
    );
  });

  test("out of reach", () => {
    const away = {
      ...xds,
      reachable: "no" as const,
      reason: "connection refused",
      failures: 7,
      streams: [],
      turnedAway: 2,
    };
    expect(text(controlPlaneSection(away, 0))).toBe(`Control plane
  address       istiod.istio-system.svc:15012
! reachable     no
  because       connection refused
! failed tries  7
  streams       0
! turned away   2
  Envoy has no stream
`);
  });

  test("a stream that has asked for nothing yet", () => {
    const stream = {
      ...xds.streams[0],
      types: [],
      state: "connecting" as const,
      reason: "waiting",
    } as XdsStatus["streams"][number];
    expect(text(controlPlaneSection({ ...xds, streams: [stream] }, 1_500))).toContain(
      "42     delta, connecting: waiting  500 ms  not known",
    );
  });
});
