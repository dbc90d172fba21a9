import { describe, expect, test } from "vitest";
import { controlPlaneConfig } from "../../src/config/control-plane-config.ts";
import { agentConfig, type ConfigCase } from "../fakes/agent-config.ts";

const read = (given: ConfigCase = {}) => controlPlaneConfig(agentConfig(given));
const env = (vars: Readonly<Record<string, string>>) => read({ env: vars });

describe("how the control plane is reached", () => {
  test("defaults are the peer's", () => {
    expect(read()).toMatchObject({
      ca: { host: "istiod.istio-system.svc", port: 15012, tls: true, serverName: "istiod.istio-system.svc" },
      xds: {
        roots: ["./etc/certs/root-cert.pem", "./var/run/secrets/istio/root-cert.pem"],
        clientCertificate: undefined,
      },
      tokenPath: "./var/run/secrets/tokens/istio-token",
      identity: "spiffe://cluster.local/ns/shop/sa/default",
      certificate: {
        lifetime: 86_400_000,
        graceRatio: 0.5,
        graceJitter: 0.01,
        key: { type: "rsa", bits: 2048 },
        pkcs8: false,
      },
      crlPath: "./var/run/secrets/istio/crl/ca-crl.pem",
      outputDirectory: undefined,
      outputMode: 0o600,
      sds: { socket: "./var/run/secrets/workload-spiffe-uds/socket" },
      xdsSocket: "./etc/istio/proxy/XDS",
      keepalive: { interval: 30_000, timeout: 10_000 },
      fileDebounce: 100,
    });
  });

  test.each([
    [
      "localhost means istiod's name",
      { args: ["--discoveryAddress", "localhost:15012"] },
      { host: "localhost", serverName: "istiod.istio-system.svc", tls: true },
    ],
    ["15010 is plain", { args: ["--discoveryAddress", "istiod:15010"] }, { host: "istiod", port: 15010, tls: false }],
    [
      "IPv6",
      { args: ["--discoveryAddress", "[fd00::1]:15012"] },
      { host: "fd00::1", port: 15012, serverName: "fd00::1" },
    ],
    ["ISTIOD_SAN", { env: { ISTIOD_SAN: "other.svc" } }, { serverName: "other.svc" }],
    ["SYSTEM roots", { env: { XDS_ROOT_CA: "SYSTEM" } }, { roots: "SYSTEM" }],
    ["a root of one's own", { env: { XDS_ROOT_CA: "/r.pem" } }, { roots: ["/r.pem"] }],
    [
      "PROV_CERT",
      { env: { PROV_CERT: "/prov" } },
      {
        clientCertificate: { certificate: "/prov/cert-chain.pem", key: "/prov/key.pem", root: "/prov/root-cert.pem" },
        roots: ["./etc/certs/root-cert.pem", "/prov/root-cert.pem", "./var/run/secrets/istio/root-cert.pem"],
      },
    ],
    ["headers", { env: { XDS_HEADER_X_TENANT: "blue" } }, { headers: [["x_tenant", "blue"]] }],
  ] as const)("%s", (_title, given, expected) => expect(read(given as ConfigCase).xds).toMatchObject(expected));

  test("the CA may stand elsewhere and have roots of its own", () => {
    expect(
      env({ CA_ADDR: "ca.svc:443", CA_ROOT_CA: "/ca.pem", CA_HEADER_A: "1", ISTIO_META_CERT_SIGNER: "x" }),
    ).toMatchObject({
      ca: { host: "ca.svc", port: 443, serverName: "ca.svc", roots: ["/ca.pem"], headers: [["a", "1"]] },
      xds: { host: "istiod.istio-system.svc", headers: [] },
      certSigner: "x",
    });
    expect(env({ PILOT_CERT_PROVIDER: "kubernetes" }).ca.roots).toEqual([
      "./var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
    ]);
  });
});

describe("where the certificate comes from", () => {
  test("the CA, unless files are there", () => {
    expect(read().source).toMatchObject({ kind: "ca" });
    expect(read().source.files.map(({ certificate }) => certificate)).toEqual([
      "./var/run/secrets/workload-spiffe-credentials/cert-chain.pem",
      "./var/run/secrets/workload-spiffe-credentials/certificates.pem",
      "./etc/certs/cert-chain.pem",
    ]);
  });

  test("what we write to ./etc/certs ourselves is no source", () => {
    for (const folder of ["./etc/certs", "etc/certs/"])
      expect(env({ OUTPUT_CERTS: folder }).source.files.map(({ certificate }) => certificate)).not.toContain(
        "./etc/certs/cert-chain.pem",
      );
  });

  test("FILE_MOUNTED_CERTS takes the files that the metadata names", () => {
    const given = {
      FILE_MOUNTED_CERTS: "true",
      ISTIO_META_TLS_CLIENT_CERT_CHAIN: "/m/c.pem",
      ISTIO_META_TLS_CLIENT_KEY: "/m/k.pem",
      ISTIO_META_TLS_CLIENT_ROOT_CERT: "/m/r.pem",
    };
    expect(env(given).source).toEqual({
      kind: "files",
      files: [{ certificate: "/m/c.pem", key: "/m/k.pem", root: "/m/r.pem" }],
    });
    expect(env(given).xds.roots).toContain("/m/r.pem");
  });

  test("keys and lifetimes", () => {
    expect(
      env({
        ECC_SIGNATURE_ALGORITHM: "ECDSA",
        ECC_CURVE: "P384",
        PKCS8_KEY: "true",
        SECRET_TTL: "1h30m",
        SECRET_GRACE_PERIOD_RATIO: "0.3",
      }).certificate,
    ).toEqual({
      lifetime: 5_400_000,
      graceRatio: 0.3,
      graceJitter: 0.01,
      key: { type: "ecdsa", curve: "P384" },
      pkcs8: true,
    });
  });

  test("further settings of ours", () => {
    const config = env({ PILOTFISH_SDS_UIDS: "1000,1001", PILOTFISH_OUTPUT_CERTS_MODE: "0640" });
    expect(config.sds.uids).toEqual([1000, 1001]);
    expect(config.outputMode).toBe(0o640);
    expect(() => env({ PILOTFISH_SDS_UIDS: "root", PILOTFISH_OUTPUT_CERTS_MODE: "rw" })).toThrow(
      /"rw" is not a file mode[\s\S]*"root" is not a uid/,
    );
  });
});
