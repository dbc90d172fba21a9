import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Authority, issuePair, type KeyPair } from "../../src/control-plane/certificate-authority.ts";
import { mtls, type Whole, whole } from "../control-plane/whole.ts";
import { eventually } from "../helpers/eventually.ts";
import { temporaryFolder } from "../helpers/paths.ts";
import { ask, type ProxyRun } from "../helpers/proxy.ts";

/* Each source of a certificate and each kind of key, through the built program and a real Envoy. */

const ourName = "spiffe://cluster.local/ns/ns/sa/server";
let w: Whole;
/** Holds the one token that the control plane takes; the proxy has another one. */
const tokens = temporaryFolder("tokens");
beforeEach(async () => {
  writeFileSync(`${tokens.path}/accepted`, "the-clients-token");
  w = await whole();
});
afterEach(() => w.done());
afterAll(() => tokens.done());

const ready = (): Promise<unknown> => eventually("ready", async () => (await w.ready()).status === 200);
const certs = async (): Promise<string> => (await ask({ port: w.ports.admin }, "/certs")).body;

/** The control plane's own CA, so that its other workloads trust what the test issues. */
function authority(): Authority {
  const read = (name: string): string => readFileSync(w.world.path(`ca/${name}.pem`), "utf8");
  return {
    root: { certificate: read("root-cert"), key: read("root-key") },
    intermediate: { certificate: read("ca-cert"), key: read("ca-key") },
  };
}

const pair = (): KeyPair =>
  issuePair(authority(), { uris: [ourName] }, { from: new Date(Date.now() - 1e3), to: new Date(Date.now() + 1e7) });

/** What the listener shows to a client. */
const shown = (client: Parameters<typeof mtls>[1]) => mtls(w.ports.listener, client);

describe("keys", () => {
  test.each([
    ["secp384r1", { ECC_CURVE: "P384" }],
    ["RSA 3072", { ECC_SIGNATURE_ALGORITHM: undefined, WORKLOAD_RSA_KEY_SIZE: "3072" }],
    ["RSA 4096", { ECC_SIGNATURE_ALGORITHM: undefined, WORKLOAD_RSA_KEY_SIZE: "4096", PKCS8_KEY: "true" }],
  ])("%s: signed by the CA, taken by Envoy, good for a handshake", async (key, env) => {
    w.start(env);
    await ready();
    const answer = await shown(await w.client());
    expect(answer).toMatchObject({ status: 200, key, uri: `URI:${ourName}` });
    const page = await certs();
    expect(page).toContain(answer.serial);
    expect(page).toContain(ourName);
  });
});

describe("files instead of the CA", () => {
  const workload = "var/run/secrets/workload-spiffe-credentials";
  const mounted = (name: string): string => `ISTIO_META_TLS_CLIENT_${name}`;
  const sources = [
    [
      "workload-spiffe-credentials",
      {},
      `${workload}/cert-chain.pem`,
      `${workload}/key.pem`,
      `${workload}/root-cert.pem`,
    ],
    [
      "GKE's names in it",
      { CA_PROVIDER: "GkeWorkloadCertificate" },
      `${workload}/certificates.pem`,
      `${workload}/private_key.pem`,
      `${workload}/ca_certificates.pem`,
    ],
    [
      "FILE_MOUNTED_CERTS, where the metadata says",
      {
        FILE_MOUNTED_CERTS: "true",
        [mounted("CERT_CHAIN")]: "./mine/tls.crt",
        [mounted("KEY")]: "./mine/tls.key",
        [mounted("ROOT_CERT")]: "./mine/ca.crt",
      },
      "mine/tls.crt",
      "mine/tls.key",
      "mine/ca.crt",
    ],
    [
      "FILE_MOUNTED_CERTS, in its default folder",
      { FILE_MOUNTED_CERTS: "true" },
      "etc/certs/cert-chain.pem",
      "etc/certs/key.pem",
      "etc/certs/root-cert.pem",
    ],
  ] as const;

  test.each(sources)("%s: served, and again when they change; the CA is never asked", async (_title, env, ...paths) => {
    const [chain, key, root] = paths;
    const put = (run: Pick<ProxyRun, "write">, one: KeyPair): void => {
      run.write(key, one.key);
      run.write(chain, one.certificate);
    };
    const first = pair();
    const files = { [chain]: first.certificate, [key]: first.key, [root]: authority().root.certificate };
    const run = w.start(env, [], { files });
    await ready();
    expect(w.world.plane.status().issued).toBe(0);
    const client = await w.client();
    const before = await shown(client);
    expect(before).toMatchObject({ status: 200, uri: `URI:${ourName}` });
    expect(await certs()).toContain(before.serial);
    put(run, pair());
    await eventually("the new certificate", async () => (await shown(client)).serial !== before.serial);
    await eventually("Envoy has let go of the old one", async () => !(await certs()).includes(before.serial));
    // The client's own is the only one.
    expect(w.world.plane.status().issued).toBe(1);
  });
});

describe("PROV_CERT", () => {
  beforeEach(async () => {
    await w.done();
    w = await whole({ tokenFile: `${tokens.path}/accepted` });
  });

  test("a client certificate opens both the CA and the discovery stream, whose token is not known", async () => {
    w.start();
    await eventually("refused with the token alone", async () =>
      /token is missing or not known/.test((await w.ready()).body),
    );
    expect(w.world.plane.status().issued).toBe(0);
    await w.done();
    w = await whole({ tokenFile: `${tokens.path}/accepted` });
    const { certificate, key } = pair();
    w.start({ PROV_CERT: "./prov" }, [], {
      files: {
        "prov/cert-chain.pem": certificate,
        "prov/key.pem": key,
        "prov/root-cert.pem": authority().root.certificate,
      },
    });
    await ready();
    w.world.writeToken("the-clients-token");
    expect(await shown(await w.client())).toMatchObject({ status: 200, uri: `URI:${ourName}` });
  });
});
