import { readdirSync, statSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.ts";
import { attack } from "../helpers/hot-restart-attack.ts";
import { Rig } from "./hot-restart-rig.ts";

/**
 * Who shares the network namespace with Envoy must not be able to end it or to take its listen sockets. The stranger is
 * uid 65534 with no capability; it speaks Envoy's protocol by a few lines of Python.
 */
let rig: Rig;
beforeEach(async () => {
  rig = await Rig.make();
});
afterEach(() => rig.done());

function stranger(what: "terminate" | "take", prefix: string): string {
  const name = (role: string, epoch: number): string => `${prefix}_${role}_${rig.baseId * 10 + epoch}`;
  return attack(what, { parent: name("parent", 0), child: name("child", 1), address: `tcp://127.0.0.1:${rig.http}` });
}

const ABSTRACT = "@envoy_domain_socket";

describe.skipIf(process.getuid?.() !== 0)("another user of the same network namespace", () => {
  test("can take the sockets and end Envoy with the abstract default", async () => {
    const run = await rig.live(0, { abstract: true });
    expect(stranger("take", ABSTRACT)).toBe("got 1");
    expect(run.end).toBeUndefined();
    expect(stranger("terminate", ABSTRACT)).toBe("sent");
    expect(await run.exited).toBe("0");
  });

  test("can do neither with --socket-path in a directory of mode 0700", async () => {
    const run = await rig.live(0);
    expect(statSync(rig.folder.path).mode & 0o777).toBe(0o700);
    expect(readdirSync(rig.folder.path)).toContain(`envoy_parent_${rig.baseId * 10}`);
    expect(stranger("take", rig.prefix)).toBe("PermissionError Permission denied");
    expect(stranger("terminate", rig.prefix)).toBe("PermissionError Permission denied");
    expect(stranger("terminate", ABSTRACT)).toMatch(/Connection refused/);
    await eventually("Envoy still serves", () => rig.isLive(0));
    expect(run.end).toBeUndefined();
  });
});
