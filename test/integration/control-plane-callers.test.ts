import { execFile } from "node:child_process";
import { chmodSync, statSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { noIdentityMetrics } from "../../src/identity/identity-metrics.ts";
import { createWorkloadIdentity } from "../../src/identity/workload-identity.ts";
import { paths, typeUrls } from "../../src/protocol/names.ts";
import { createSdsServer } from "../../src/sds/sds-server.ts";
import { realClock } from "../../src/system/clock.ts";
import { eventually } from "../helpers/eventually.ts";
import { root } from "../helpers/paths.ts";
import { type World, world } from "../identity/harness.ts";
import { rememberingLog, startProxy } from "../xds/proxy-harness.ts";

/* Who may ask the two sockets that Envoy talks to: the kernel says which user a caller is. */

const listed = 4321;
const stranger = 4322;

let w: World;
const ends: (() => unknown)[] = [];
beforeEach(async () => {
  w = await world();
  ends.push(() => w.done());
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** Both servers with that list of users, and their log. Both sockets can be reached by everybody. */
async function sockets(uids: readonly number[]) {
  const { log, lines } = rememberingLog();
  const base = w.config();
  const config = w.config({ sds: { ...base.sds, uids } });
  const common = { clock: realClock, log };
  const identity = createWorkloadIdentity({ ...common, config, random: Math.random, metrics: noIdentityMetrics });
  const onBug = (error: unknown): void => {
    throw error;
  };
  const sds = createSdsServer({
    ...{ ...common, settings: config.sds, identity, debounce: 20, onFileFailure: () => undefined, onBug },
  });
  await sds.listen();
  const xds = await startProxy(config, { log });
  ends.push(
    () => identity.stop(),
    () => sds.close(),
    () => xds.close(),
  );
  const modes = [config.sds.socket, config.xdsSocket].map((path) => statSync(path).mode & 0o777);
  // As in a pod whose volumes are open to everybody: the check of the caller has to do alone.
  for (const folder of [w.folder, join(config.sds.socket, ".."), join(config.xdsSocket, "..")])
    chmodSync(folder, 0o711);
  for (const socket of [config.sds.socket, config.xdsSocket]) chmodSync(socket, 0o666);
  identity.start();
  w.plane.setResources([{ typeUrl: typeUrls.cluster, name: "a", value: Buffer.from("value") }]);
  await eventually("the certificate", () => identity.current() !== undefined);
  return { config, sds, xds, lines, modes };
}

const program = join(root, "test/xds/asker-program.ts");
async function askAs(uid: number, socket: string, ...words: readonly string[]): Promise<unknown> {
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, [program, String(uid), socket, ...words], { timeout: 20_000 });
  return JSON.parse(stdout);
}

const forSecrets = [paths.streamSecrets, typeUrls.secret, "default"] as const;
const forClusters = [paths.streamAggregated, typeUrls.cluster] as const;
const nothing = { messages: 0, code: -1 };
const served = { messages: 1, code: -1 };

describe.skipIf(process.geteuid?.() !== 0)("another user of the pod, who can reach the sockets", () => {
  test("is turned away by both, and that is logged with who it was", async () => {
    const { config, sds, xds, lines, modes } = await sockets([]);
    expect(modes).toEqual([0o600, 0o600]);
    expect(await askAs(stranger, config.sds.socket, ...forSecrets)).toEqual(nothing);
    expect(await askAs(stranger, config.xdsSocket, ...forClusters)).toEqual(nothing);
    expect(sds.status()).toMatchObject({ turnedAway: 1, pushes: 0, streams: 0 });
    expect(xds.status()).toMatchObject({ turnedAway: 1, streams: [] });
    for (const what of ["secrets", "configuration"])
      expect(lines).toContainEqual(
        expect.stringMatching(
          new RegExp(`^warn somebody else asked for ${what} and was turned away \\{"uid":${stranger},"pid":\\d+\\}$`),
        ),
      );
    // Root, and whoever is listed, are served by the same sockets at the same time.
    expect(await askAs(0, config.sds.socket, ...forSecrets)).toEqual(served);
    expect(await askAs(0, config.xdsSocket, ...forClusters)).toEqual(served);
  });

  test("is served by both when it is listed, while others still are not", async () => {
    const { config, sds, xds, modes } = await sockets([listed]);
    expect(modes).toEqual([0o666, 0o666]);
    expect(await askAs(listed, config.sds.socket, ...forSecrets)).toEqual(served);
    expect(await askAs(listed, config.xdsSocket, ...forClusters)).toEqual(served);
    expect([sds.status().turnedAway, xds.status().turnedAway]).toEqual([0, 0]);
    expect(await askAs(stranger, config.sds.socket, ...forSecrets)).toEqual(nothing);
    expect(await askAs(stranger, config.xdsSocket, ...forClusters)).toEqual(nothing);
    expect([sds.status().turnedAway, xds.status().turnedAway]).toEqual([1, 1]);
  });
});
