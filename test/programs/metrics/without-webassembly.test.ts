import type { IncomingMessage } from "node:http";
import { afterAll, beforeAll, expect, test, vi } from "vitest";

// Before anything is loaded that would take it: as under `node --jitless`, or where there is too little address space.
beforeAll(() => void vi.stubGlobal("WebAssembly", undefined));
afterAll(() => void vi.unstubAllGlobals());

test("without WebAssembly all works, and Envoy is asked for text", async () => {
  const { takeRoom } = await import("../../../src/metrics/line-runs/line-room.ts");
  expect(takeRoom().runs).toBeUndefined();
  const { startRig } = await import("./scrape-rig.ts");
  const page = `# TYPE e counter\n${Array.from({ length: 3_000 }, (_, i) => `e{i="${i}"} ${i}\n`).join("")}`;
  const rig = await startRig({ envoy: page, applications: ["# TYPE a gauge\na 1\n"] });
  try {
    const { body } = await rig.scrape();
    expect(body.toString()).toContain(page);
    expect(body.toString()).toContain("# TYPE a gauge\na 1\n");
    const [asked] = rig.seen["envoy"] as IncomingMessage[];
    expect(asked?.headers.accept).not.toContain("protobuf");
  } finally {
    await rig.done();
  }
});
