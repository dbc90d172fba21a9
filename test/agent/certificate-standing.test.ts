import { expect, test } from "vitest";
import { type ControlPlaneView, controlPlaneContributors } from "../../src/agent/control-plane-standing.ts";
import type { IdentityStatus } from "../../src/identity/workload-identity.ts";
import type { SdsStatus } from "../../src/sds/sds-server.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

interface Case {
  readonly identity?: Partial<IdentityStatus>;
  readonly sds?: Partial<SdsStatus>;
  /** Secrets that the bootstrap names. */
  readonly named?: readonly string[];
}

function standing({ identity = {}, sds = {}, named = [] }: Case) {
  const view = {
    facts: { clusters: "static", listeners: "static", secrets: named },
    snapshot: () => ({ state: "live", epoch: 0, pid: 42, since: 0, reason: "", processes: [] }),
    parts: () => ({
      identity: { status: () => ({ state: "waiting", reason: "waiting for certificate: why", ...identity }) },
      sds: { status: () => ({ mode: "own", asked: [], nacks: [], streams: 1, ...sds }) },
      xds: { status: () => ({}) },
    }),
    clock: new FakeClock(),
    tolerance: undefined,
  } as unknown as ControlPlaneView;
  return controlPlaneContributors(view)
    .find(({ name }) => name === "certificate")
    ?.check();
}

const waits = { ready: false, reason: "waiting for certificate: why" };
const valid = { state: "valid", reason: "" } as const;
const nack = { names: ["default"], version: "1", text: "Failed to load certificate chain" };

test.each<readonly [string, Case, object]>([
  ["nobody asks for it: it holds nothing up", {}, { ready: true, note: "Envoy has asked for none" }],
  [
    "only a file is asked for: that does not wait for the CA",
    { sds: { asked: ["file-root:/etc/ca.pem"] } },
    { ready: true, note: "Envoy has asked for none" },
  ],
  ["Envoy asks for the certificate", { sds: { asked: ["default"] } }, waits],
  ["Envoy asks for the roots", { sds: { asked: ["file-root:/etc/ca.pem", "ROOTCA"] } }, waits],
  ["the bootstrap names it, before Envoy has come", { named: ["default"] }, waits],
  ["it is there", { sds: { asked: ["default"] }, identity: valid }, { ready: true }],
  [
    "a renewal fails while the old one serves: shown, and no reason",
    { sds: { asked: ["default"] }, identity: { state: "valid", reason: "the CA does not answer in time" } },
    { ready: true, note: "the CA does not answer in time" },
  ],
  [
    "it has expired",
    { sds: { asked: ["default"] }, identity: { state: "expired", reason: "certificate expired at X: gone" } },
    { ready: false, reason: "certificate expired at X: gone" },
  ],
  [
    "Envoy refuses it: its own words are the reason",
    { sds: { asked: ["default"], nacks: [nack] }, identity: valid },
    { ready: false, reason: "Envoy refuses the secret default: Failed to load certificate chain" },
  ],
  [
    "another secret service brings it",
    { sds: { mode: "external", asked: ["default"] } },
    { ready: true, note: "an external secret service is used" },
  ],
])("%s", (_title, given, expected) => {
  expect(standing(given)).toEqual(expected);
});
