import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { issuePair, makeAuthority } from "../../src/control-plane/certificate-authority.ts";
import { noLog } from "../../src/foundation/log.ts";
import { noIdentityMetrics } from "../../src/identity/identity-metrics.ts";
import { createWorkloadIdentity, type WorkloadIdentity } from "../../src/identity/workload-identity.ts";
import {
  deltaDiscoveryRequest,
  deltaDiscoveryResponse,
  discoveryRequest,
  discoveryResponse,
  secret,
} from "../../src/protocol/messages.ts";
import { paths, typeUrls } from "../../src/protocol/names.ts";
import { createSdsServer, type SdsServer } from "../../src/sds/sds-server.ts";
import { realClock } from "../../src/system/clock.ts";
import { eventually } from "../helpers/eventually.ts";
import { identity as ourName, type World, world } from "../identity/harness.ts";
import { type RawEnvoy, rawEnvoy } from "../xds/wire.ts";

let w: World;
let identity: WorkloadIdentity;
let sds: SdsServer;
let counts: { request: number; sent: number; reject: number; expiredNonce: number };
const ends: (() => unknown)[] = [];
beforeEach(async () => {
  w = await world();
  const config = w.config({ crlPath: w.path("run/ca-crl.pem") });
  identity = createWorkloadIdentity({
    config,
    clock: realClock,
    random: Math.random,
    log: noLog,
    metrics: noIdentityMetrics,
  });
  counts = { request: 0, sent: 0, reject: 0, expiredNonce: 0 };
  const count = (what: keyof typeof counts) => (): void => {
    counts[what] += 1;
  };
  sds = createSdsServer({
    metrics: {
      request: count("request"),
      sent: count("sent"),
      reject: count("reject"),
      expiredNonce: count("expiredNonce"),
    },
    settings: config.sds,
    identity,
    clock: realClock,
    debounce: 20,
    log: noLog,
    onFileFailure: () => undefined,
    onBug: (error) => {
      throw error;
    },
  });
  await sds.listen();
  ends.push(
    () => w.done(),
    () => identity.stop(),
    () => sds.close(),
  );
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const connect = (path: string): RawEnvoy => {
  const one = rawEnvoy(w.config().sds.socket, path);
  ends.push(() => one.close());
  return one;
};
const typeUrl = typeUrls.secret;
const text = (source: unknown): string => Buffer.from((source as { inlineBytes: Uint8Array }).inlineBytes).toString();
const secretsIn = (message: Buffer | undefined) =>
  discoveryResponse.decode(message ?? Buffer.alloc(0)).resources.map(({ value }) => secret.decode(value));

describe("StreamSecrets", () => {
  test("several names a stream: what is there comes at once, the rest when it is", async () => {
    const envoy = connect(paths.streamSecrets);
    envoy.send(discoveryRequest.encode({ typeUrl, resourceNames: ["default", "ROOTCA", "file-root:system"] }));
    await eventually("the system's roots", () => envoy.messages.length === 1);
    expect(secretsIn(envoy.messages[0]).map(({ name }) => name)).toEqual(["file-root:system"]);
    identity.start();
    await eventually("the certificate", () => identity.current() !== undefined);
    await eventually("both", () => envoy.messages.flatMap((one) => secretsIn(one)).length === 3);
    const all = envoy.messages.flatMap((one) => secretsIn(one));
    const chain = text(all.find(({ name }) => name === "default")?.tlsCertificate.certificateChain);
    expect(chain).toBe(identity.current()?.chain);
    expect(text(all.find(({ name }) => name === "ROOTCA")?.validationContext.trustedCa)).toBe(identity.roots());
  });

  test("names may change; files of names that nobody wants are no longer watched", async () => {
    identity.start();
    const envoy = connect(paths.streamSecrets);
    writeFileSync(w.path("ca.pem"), w.plane.rootCertificate());
    const name = `file-root:${w.path("ca.pem")}`;
    envoy.send(discoveryRequest.encode({ typeUrl, resourceNames: [name] }));
    await eventually("the file", () => envoy.messages.length === 1);
    expect(sds.status().asked).toEqual([name]);
    envoy.send(discoveryRequest.encode({ typeUrl, resourceNames: ["ROOTCA"], responseNonce: "1", versionInfo: "1" }));
    await eventually("the other", () => sds.status().asked.join() === "ROOTCA");
    expect(sds.status().acked.has(name)).toBe(true);
    envoy.close();
    await eventually("nothing is held", () => sds.status().asked.length === 0);
  });

  test("a revocation list goes with the roots, and again when it changes", async () => {
    identity.start();
    const authority = makeAuthority(new Date());
    mkdirSync(w.path("crl"));
    writeFileSync(w.path("crl/ca.pem"), authority.root.certificate);
    writeFileSync(w.path("crl/ca.key"), authority.root.key);
    writeFileSync(w.path("crl/index.txt"), "");
    writeFileSync(
      w.path("crl/conf"),
      `[ca]\ndefault_ca=x\n[x]\ndatabase=${w.path("crl/index.txt")}\ndefault_md=sha256\n`,
    );
    const envoy = connect(paths.streamSecrets);
    envoy.send(discoveryRequest.encode({ typeUrl, resourceNames: ["ROOTCA"] }));
    await eventually("the roots", () => envoy.messages.length === 1);
    const crl = execFileSync(
      "openssl",
      [
        "ca",
        "-gencrl",
        "-config",
        w.path("crl/conf"),
        "-cert",
        w.path("crl/ca.pem"),
        "-keyfile",
        w.path("crl/ca.key"),
        "-crldays",
        "1",
      ],
      { stdio: ["ignore", "pipe", "ignore"] },
    ).toString();
    writeFileSync(w.path("run/ca-crl.pem"), crl);
    await eventually("with the list", () => envoy.messages.length === 2);
    expect(text(secretsIn(envoy.messages[1])[0]?.validationContext.crl)).toBe(crl);
  });

  test("an answer to a push that another one has followed says nothing; a refusal is kept until it is mended", async () => {
    identity.start();
    const envoy = connect(paths.streamSecrets);
    const file = w.path("ca.pem");
    writeFileSync(file, w.plane.rootCertificate());
    const resourceNames = [`file-root:${file}`];
    const answer = (responseNonce: string, text?: string): void =>
      envoy.send(
        discoveryRequest.encode({
          ...{ typeUrl, resourceNames, responseNonce },
          ...(text === undefined ? {} : { errorDetail: { code: 13, message: text } }),
        }),
      );
    envoy.send(discoveryRequest.encode({ typeUrl, resourceNames }));
    await eventually("the first", () => envoy.messages.length === 1);
    writeFileSync(file, makeAuthority(new Date()).root.certificate);
    await eventually("the second", () => envoy.messages.length === 2);
    answer("1", "not that one");
    await eventually("the old answer", () => counts.expiredNonce === 1);
    expect(sds.status()).toMatchObject({ nacks: [], acked: new Map() });
    answer("2", "no root of mine");
    await eventually("the refusal", () => sds.status().nacks.length === 1);
    expect(sds.status().nacks[0]).toMatchObject({ names: resourceNames, text: "no root of mine" });
    writeFileSync(file, w.plane.rootCertificate());
    await eventually("the third", () => envoy.messages.length === 3);
    answer("3");
    await eventually("taken", () => sds.status().nacks.length === 0);
    expect(counts).toEqual({ request: 4, sent: 3, reject: 1, expiredNonce: 1 });
  });

  test("bytes that are no request end that stream and no other", async () => {
    identity.start();
    const [good, bad] = [connect(paths.streamSecrets), connect(paths.streamSecrets)];
    bad.send(Buffer.from("ffffffffffffffffffff", "hex"));
    expect(await bad.ended).toMatchObject({ code: 3 });
    good.send(discoveryRequest.encode({ typeUrl, resourceNames: ["default"] }));
    await eventually("the other stream's answer", () => good.messages.length === 1);
  });
});

describe("DeltaSecrets", () => {
  test("subscribes, unsubscribes, sends again what is asked for again", async () => {
    identity.start();
    const envoy = connect(paths.deltaSecrets);
    const names = (): string[] =>
      envoy.messages.flatMap((one) => deltaDiscoveryResponse.decode(one).resources.map(({ name }) => name));
    envoy.send(
      deltaDiscoveryRequest.encode({
        typeUrl,
        resourceNamesSubscribe: ["default", "ROOTCA"],
        initialResourceVersions: { default: "1" },
      }),
    );
    await eventually("both", () => names().toSorted().join() === "ROOTCA,default");
    envoy.send(deltaDiscoveryRequest.encode({ typeUrl, resourceNamesUnsubscribe: ["ROOTCA"], responseNonce: "1" }));
    await eventually("one is left", () => sds.status().asked.join() === "default");
    envoy.send(deltaDiscoveryRequest.encode({ typeUrl, resourceNamesSubscribe: ["default"] }));
    await eventually("again", () => names().filter((name) => name === "default").length === 2);
  });
});

test("a rotation reaches every stream, of both kinds, once each", async () => {
  w.plane.setFaults({ lifetime: 5_000 });
  identity.start();
  await eventually("the certificate", () => identity.current() !== undefined);
  const sotw = [connect(paths.streamSecrets), connect(paths.streamSecrets)];
  const delta = connect(paths.deltaSecrets);
  for (const one of sotw) one.send(discoveryRequest.encode({ typeUrl, resourceNames: ["default"] }));
  delta.send(deltaDiscoveryRequest.encode({ typeUrl, resourceNamesSubscribe: ["default"] }));
  const chains = (): readonly (readonly string[])[] =>
    [
      ...sotw.map(({ messages }) => messages.flatMap(secretsIn)),
      delta.messages.flatMap((one) =>
        deltaDiscoveryResponse.decode(one).resources.map(({ resource }) => secret.decode(resource.value)),
      ),
    ].map((all) => all.map(({ tlsCertificate }) => text(tlsCertificate.certificateChain)));
  const given: string[] = [identity.current()?.chain ?? ""];
  identity.onChange(() => {
    const now = identity.current()?.chain ?? "";
    if (now !== given.at(-1)) given.push(now);
  });
  await eventually("three certificates on each of three streams", () => chains().every((one) => one.length === 3));
  for (const one of chains()) expect(one).toEqual(given.slice(0, 3));
});

describe("FetchSecrets", () => {
  const fetch = async (...resourceNames: string[]) => {
    const envoy = connect(paths.fetchSecrets);
    envoy.send(discoveryRequest.encode({ typeUrl, resourceNames }));
    envoy.stream.end();
    const status = await envoy.ended;
    return { status, secrets: envoy.messages.flatMap((one) => secretsIn(one)) };
  };

  test("answers with what there is, or says why not", async () => {
    expect(await fetch("default")).toMatchObject({
      status: { code: 14, text: 'cannot give "default": waiting for certificate' },
    });
    identity.start();
    await eventually("the certificate", () => identity.current() !== undefined);
    expect((await fetch("default", "ROOTCA")).secrets.map(({ name }) => name).toSorted()).toEqual([
      "ROOTCA",
      "default",
    ]);
    expect((await fetch("kubernetes://x")).status.text).toMatch(/no secret is known by the name/);
    expect(sds.status().asked).toEqual([]);
  });

  test("a pair from files, checked", async () => {
    const authority = makeAuthority(new Date());
    const pair = () =>
      issuePair(authority, { uris: [ourName] }, { from: new Date(Date.now() - 1e3), to: new Date(Date.now() + 1e6) });
    const [one, two] = [pair(), pair()];
    writeFileSync(w.path("c.pem"), one.certificate);
    writeFileSync(w.path("k.pem"), two.key);
    const name = `file-cert:${w.path("c.pem")}~${w.path("k.pem")}`;
    expect((await fetch(name)).status.text).toMatch(/belongs to another certificate/);
    writeFileSync(w.path("k.pem"), one.key);
    expect((await fetch(name)).status).toMatchObject({ code: 0 });
    expect((await fetch(`file-cert:${w.path("nowhere")}~${w.path("k.pem")}`)).status.text).toMatch(
      /is missing or empty/,
    );
  });
});
