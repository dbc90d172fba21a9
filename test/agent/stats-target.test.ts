import { expect, test } from "vitest";
import { statsTarget } from "../../src/agent/stats-target.ts";
import type { EnvoySnapshot } from "../../src/process/envoy-snapshot.ts";

const admin = { socketPath: "/admin.sock" };
const listener = { host: "127.0.0.1", port: 15090 };

/** An Envoy, and another one beside it or none at all. */
function seen(count: number, more: Partial<EnvoySnapshot> = {}): EnvoySnapshot {
  const one = { epoch: 0, pid: 7, state: "live", startedAt: 0, liveAt: 1 };
  const processes = Array.from({ length: count }, () => one);
  return { state: "live", epoch: 0, pid: 7, since: 0, reason: "", adminAnswers: true, processes, ...more };
}

test.each([
  ["one Envoy is asked itself", seen(1), admin, listener, admin],
  ["so is one that ends", seen(1, { state: "stopping" }), admin, listener, admin],
  ["two of them: who has the listener", seen(2), admin, listener, listener],
  ["none at all", seen(0, { adminAnswers: false }), admin, listener, listener],
  ["an admin that a dead child took", seen(1, { adminAnswers: false }), admin, listener, listener],
  ["no listener, one Envoy", seen(1), admin, undefined, admin],
  ["no listener, two of them", seen(2), admin, undefined, admin],
  ["no admin", seen(1), undefined, listener, listener],
  ["neither", seen(1), undefined, undefined, undefined],
])("%s", (_, snapshot, ofAdmin, ofListener, expected) => {
  expect(statsTarget(snapshot, ofAdmin, ofListener)).toEqual(expected);
});
