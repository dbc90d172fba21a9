import { X509Certificate } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { issuePair } from "../../src/control-plane/certificate-authority.ts";
import type { Faults } from "../../src/control-plane/faults.ts";
import { noLog } from "../../src/foundation/log.ts";
import { requestCertificate } from "../../src/identity/ca-client.ts";
import { noIdentityMetrics } from "../../src/identity/identity-metrics.ts";
import { makePrivateKey } from "../../src/identity/private-key.ts";
import { signingRequest } from "../../src/identity/signing-request.ts";
import { createWorkloadIdentity, type WorkloadIdentity } from "../../src/identity/workload-identity.ts";
import { realClock } from "../../src/system/clock.ts";
import { eventually } from "../helpers/eventually.ts";
import { identity, jwt, type World, world } from "../identity/harness.ts";

let w: World;
let running: WorkloadIdentity[] = [];
beforeEach(async () => {
  w = await world();
});
afterEach(async () => {
  await Promise.all(running.map((one) => one.stop()));
  running = [];
  await w.done();
});

const start = (changes: Parameters<World["config"]>[0] = {}): WorkloadIdentity => {
  const one = createWorkloadIdentity({
    config: w.config(changes),
    clock: realClock,
    random: Math.random,
    log: noLog,
    metrics: noIdentityMetrics,
  });
  running.push(one);
  one.start();
  return one;
};

async function ask(changes: Parameters<World["config"]>[0] = {}, deadline?: number) {
  const key = await makePrivateKey({ type: "ecdsa", curve: "P256" }, true);
  return requestCertificate(w.config(changes), signingRequest(key, identity), realClock, deadline);
}

describe("the CA client", () => {
  test("gets a chain over TLS and over plain HTTP/2", async () => {
    for (const port of [w.plane.tlsPort, w.plane.plainPort]) {
      const upstream = { ...w.config().ca, port: port ?? 0, tls: port === w.plane.tlsPort };
      const answer = await ask({ ca: upstream });
      expect(answer).toMatchObject({ ok: true });
      expect(answer.ok && answer.chain).toHaveLength(3);
    }
  });

  test("an address instead of a name is checked against the certificate's addresses", async () => {
    const warnings: string[] = [];
    const hear = (warning: Error): void => void warnings.push(warning.message);
    process.on("warning", hear);
    expect(await ask({ ca: { ...w.config().ca, serverName: "127.0.0.1" } })).toMatchObject({ ok: true });
    const wrong = await ask({ ca: { ...w.config().ca, serverName: "127.0.0.9" } });
    expect(wrong).toMatchObject({ ok: false, reason: expect.stringContaining("does not carry the name") as string });
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", hear);
    expect(warnings).toEqual([]);
  });

  const reasons: readonly (readonly [title: string, prepare: () => Parameters<World["config"]>[0], says: RegExp])[] = [
    [
      "an expired token",
      () => {
        w.writeToken(jwt(-60));
        return {};
      },
      /^token expired at 20.*run\/token must be renewed$/,
    ],
    [
      "a wrong root",
      () => {
        const before = w.plane.rootCertificate();
        w.plane.replaceAuthority();
        w.writeRoot(before);
        return {};
      },
      /^cannot trust the CA at 127\.0\.0\.1:\d+: its certificate is not signed by our root/,
    ],
    [
      "a wrong name",
      () => ({ ca: { ...w.config().ca, serverName: "other.svc" } }),
      /does not carry the name "other\.svc"; set ISTIOD_SAN/,
    ],
    [
      "a CA that says no",
      () => {
        w.plane.setFaults({ refuse: { calls: "ca", code: 7, text: "this workload is not known" } });
        return {};
      },
      /^the CA at .* says no: this workload is not known$/,
    ],
    [
      "nobody there",
      () => ({ ca: { ...w.config().ca, port: 1 } }),
      /^cannot reach the CA at 127\.0\.0\.1:1: .*ECONNREFUSED/,
    ],
    [
      "no root",
      () => ({ ca: { ...w.config().ca, roots: ["/nowhere.pem"] } }),
      /^cannot trust the control plane: none of \/nowhere\.pem/,
    ],
  ];
  test.each(reasons)("%s has a reason of its own", async (_title, prepare, says) => {
    const answer = await ask(prepare());
    expect(answer.ok).toBe(false);
    expect(answer.ok ? "" : answer.reason).toMatch(says);
  });

  test("a token that is missing where one is wanted", async () => {
    const strict = await world({ tokenFile: w.path("run/token") });
    try {
      const ca = { ...w.config().ca, port: strict.plane.tlsPort ?? 0, roots: [strict.path("run/root-cert.pem")] };
      expect(await ask({ ca, tokenPath: w.path("no-such-token") })).toMatchObject({
        ok: false,
        reason: expect.stringMatching(/wants a token, and there is none/) as string,
      });
      expect(await ask({ ca })).toMatchObject({ ok: true });
      strict.plane.setFaults({});
    } finally {
      await strict.done();
    }
  });

  test("a CA that hangs is given up at the deadline", async () => {
    w.plane.setFaults({ hang: "ca" });
    const answer = await ask({}, 300);
    expect(answer).toMatchObject({
      ok: false,
      code: 4,
      reason: expect.stringContaining("does not answer in time") as string,
    });
  });

  test("a client certificate speaks for itself only, and no token is sent with it", async () => {
    const authority = {
      root: {
        certificate: readFileSync(w.path("ca/root-cert.pem"), "utf8"),
        key: readFileSync(w.path("ca/root-key.pem"), "utf8"),
      },
      intermediate: {
        certificate: readFileSync(w.path("ca/ca-cert.pem"), "utf8"),
        key: readFileSync(w.path("ca/ca-key.pem"), "utf8"),
      },
    };
    const { writeFileSync } = await import("node:fs");
    const clientCertificate = {
      certificate: w.path("run/cert.pem"),
      key: w.path("run/key.pem"),
      root: w.path("run/root-cert.pem"),
    };
    const give = (uri: string): void => {
      const pair = issuePair(
        authority,
        { uris: [uri] },
        { from: new Date(Date.now() - 1_000), to: new Date(Date.now() + 60_000) },
      );
      writeFileSync(clientCertificate.certificate, pair.certificate);
      writeFileSync(clientCertificate.key, pair.key);
    };
    w.writeToken(jwt(-60));
    const ca = { ...w.config().ca, clientCertificate };
    give(identity);
    expect(await ask({ ca })).toMatchObject({ ok: true });
    give("spiffe://cluster.local/ns/other/sa/other");
    expect(await ask({ ca })).toMatchObject({ ok: false, code: 7 });
  });
});

describe("the workload's identity", () => {
  test("gets a certificate, says so, and rotates without dropping the old one first", async () => {
    w.plane.setFaults({ lifetime: 4_000 });
    const one = start();
    await eventually("the first certificate", () => one.current() !== undefined);
    expect(one.status()).toMatchObject({ state: "valid", reason: "", identity });
    const seen = new Set<string>();
    let holes = 0;
    one.onChange(() => {
      const now = one.current();
      if (now === undefined) holes += 1;
      else seen.add(now.serialNumber);
    });
    await eventually("three rotations", () => seen.size >= 3);
    expect(holes).toBe(0);
  });

  test.each([
    ["empty", /it has 0 certificates/],
    ["leaf-only", /it has 1 certificates; a leaf and a root are the least/],
    ["foreign-key", /its certificate is for another key than ours/],
    ["foreign-root", /does not lead to its root/],
    ["wrong-name", /it is for "spiffe:\/\/cluster\.local\/ns\/other\/sa\/other", we are/],
    ["expired", /the certificate expired at /],
    ["huge", /larger than max|RESOURCE_EXHAUSTED/i],
    ["garbage", /holds no PEM certificate/],
  ] as const)("an answer that is %s is not used, and readiness says why", async (answer, says) => {
    w.plane.setFaults({ answer } as Faults);
    const one = start();
    await eventually("the reason", () => says.test(one.status().reason));
    expect(one.current()).toBeUndefined();
    expect(one.status().reason).toMatch(/^waiting for certificate: /);
    w.plane.setFaults({});
    await eventually("recovery", () => one.current() !== undefined);
  });

  test("the CA away across a renewal: the old certificate stays, then it is said that it expired, then all is well", async () => {
    w.plane.setFaults({ lifetime: 3_000 });
    const one = start();
    await eventually("the first certificate", () => one.current() !== undefined);
    const first = one.current()?.serialNumber;
    w.plane.setFaults({ refuse: { calls: "all", code: 14, text: "gone" } });
    await eventually(
      "a failed renewal while the old one serves",
      () => one.status().state === "valid" && one.status().reason !== "",
    );
    expect(one.current()?.serialNumber).toBe(first);
    await eventually("expiry", () => one.status().state === "expired");
    expect(one.status().reason).toMatch(/^certificate expired at .*gone/);
    expect(one.current()?.serialNumber).toBe(first);
    w.plane.setFaults({});
    await eventually("recovery", () => one.status().state === "valid");
  });

  test("a new root is added before the old one goes", async () => {
    w.plane.setFaults({ lifetime: 6_000 });
    const one = start();
    await eventually("the first certificate", () => one.current() !== undefined);
    const count = (): number => one.roots()?.match(/BEGIN/g)?.length ?? 0;
    expect(count()).toBe(1);
    w.plane.replaceAuthority();
    w.writeRoot(w.plane.rootCertificate());
    await eventually("both roots", () => count() === 2);
    await eventually("the old root gone", () => count() === 1);
    expect(one.roots()).toBe(w.plane.rootCertificate());
  });

  test("output files are one set, 0600, and rotate though nobody subscribes", async () => {
    w.plane.setFaults({ lifetime: 3_000 });
    const folder = w.path("out");
    start({ outputDirectory: folder });
    const read = () => {
      // One look at the link: what is read through it is one set.
      const set = readdirSync(folder).includes("..data") ? `${folder}/..data` : folder;
      const { realpathSync } = process.getBuiltinModule("node:fs");
      const one = realpathSync(set);
      return { chain: readFileSync(`${one}/cert-chain.pem`), key: readFileSync(`${one}/key.pem`) };
    };
    await eventually(
      "the files",
      () => readdirSync(w.folder).includes("out") && readdirSync(folder).includes("key.pem"),
    );
    expect(statSync(`${folder}/key.pem`).mode & 0o777).toBe(0o600);
    expect(readFileSync(`${folder}/root-cert.pem`, "utf8")).toBe(w.plane.rootCertificate());
    const { createPrivateKey } = await import("node:crypto");
    const seen = new Set<string>();
    await eventually("three generations, each a pair", () => {
      const { chain, key } = read();
      const leaf = new X509Certificate(chain);
      expect(leaf.checkPrivateKey(createPrivateKey(key))).toBe(true);
      seen.add(leaf.serialNumber);
      return seen.size >= 3;
    });
    expect(readdirSync(folder).filter((name) => /^\.\.\d/.test(name)).length).toBeLessThanOrEqual(2);
  });

  test("waking up: a new token ends the back-off", async () => {
    const strict = await world({ tokenFile: w.path("run/good-token") });
    const { writeFileSync } = await import("node:fs");
    writeFileSync(w.path("run/good-token"), "right");
    try {
      const ca = { ...w.config().ca, port: strict.plane.tlsPort ?? 0, roots: [strict.path("run/root-cert.pem")] };
      w.writeToken("wrong");
      const one = start({ ca });
      await eventually("a refusal", () => /does not accept our token/.test(one.status().reason));
      w.writeToken("right");
      await eventually("the certificate", () => one.current() !== undefined);
    } finally {
      await strict.done();
    }
  });
});
