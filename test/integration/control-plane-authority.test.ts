import { X509Certificate } from "node:crypto";
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ControlPlane, startControlPlane } from "../../src/control-plane/control-plane.ts";
import { noLog } from "../../src/foundation/log.ts";
import { requestCertificate } from "../../src/identity/ca-client.ts";
import { makePrivateKey } from "../../src/identity/private-key.ts";
import { signingRequest } from "../../src/identity/signing-request.ts";
import { realClock } from "../../src/system/clock.ts";
import { temporaryFolder } from "../helpers/paths.ts";
import { identity, type World, world } from "../identity/harness.ts";

/* The authority of the embedded control plane: what it keeps in its folder, and how long its certificates live. */

const HOUR = 3_600_000;
let folder: ReturnType<typeof temporaryFolder>;
let w: World;
const planes: ControlPlane[] = [];
beforeEach(async () => {
  folder = temporaryFolder("authority");
  w = await world();
});
afterEach(async () => {
  for (const one of planes.splice(0)) await one.close();
  await w.done();
  folder.done();
});

async function start(): Promise<ControlPlane> {
  const plane = await startControlPlane({
    directory: join(folder.path, "ca"),
    host: "127.0.0.1",
    ...{ tlsPort: 0, plainPort: 0, maxLifetime: HOUR, clock: realClock, log: noLog },
    serverNames: ["istiod.istio-system.svc"],
  });
  planes.push(plane);
  return plane;
}

/** The leaf that it issues for a lifetime that was asked for. */
async function leaf(plane: ControlPlane, lifetime: number): Promise<X509Certificate> {
  const key = await makePrivateKey({ type: "ecdsa", curve: "P256" }, true);
  const base = w.config();
  const ca = { ...base.ca, port: plane.plainPort ?? 0, tls: false };
  const config = w.config({ ca, certificate: { ...base.certificate, lifetime } });
  const answer = await requestCertificate(config, signingRequest(key, identity), realClock);
  if (!answer.ok) throw new Error(answer.reason);
  return new X509Certificate(answer.chain[0] ?? "");
}

describe("its folder", () => {
  test("is for its own user, holds root and intermediate, and both survive a restart", async () => {
    const first = await start();
    const [path, root] = [join(folder.path, "ca"), first.rootCertificate()];
    expect(statSync(path).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(path).filter((one) => one.endsWith("key.pem")))
      expect([name, statSync(join(path, name)).mode & 0o777]).toEqual([name, 0o600]);
    const issuer = (await leaf(first, HOUR)).issuer;
    await first.close();
    const second = await start();
    expect(second.rootCertificate()).toBe(root);
    expect((await leaf(second, HOUR)).issuer).toBe(issuer);
  });

  test("one that lost a file is made anew as a whole", async () => {
    const first = await start();
    await first.close();
    rmSync(join(folder.path, "ca/ca-key.pem"));
    const second = await start();
    expect(second.rootCertificate()).not.toBe(first.rootCertificate());
    expect((await leaf(second, HOUR)).subjectAltName).toBe(`URI:${identity}`);
  });
});

describe("lifetimes", () => {
  test.each([
    ["as asked", HOUR / 2, HOUR / 2],
    ["at most the maximum", 24 * HOUR, HOUR],
  ])("%s", async (_title, asked, given) => {
    const before = Date.now();
    const { validToDate } = await leaf(await start(), asked);
    // Certificates count whole seconds.
    expect(validToDate.getTime()).toBeGreaterThanOrEqual(before + given - 1_000);
    expect(validToDate.getTime()).toBeLessThanOrEqual(Date.now() + given);
  });
});
