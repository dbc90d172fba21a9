import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { makeAuthority } from "../../src/control-plane/certificate-authority.ts";
import { discoveryRequest, discoveryResponse, secret, trustBundleConfig } from "../../src/protocol/messages.ts";
import { paths, typeUrls } from "../../src/protocol/names.ts";
import { eventually } from "../helpers/eventually.ts";
import { drawPorts, ProxyRun, portSettings } from "../helpers/proxy.ts";
import { type World, world } from "../identity/harness.ts";
import { asks } from "../xds/between.ts";
import { type RawEnvoy, rawEnvoy } from "../xds/wire.ts";

/* The control plane's trust bundle (PCDS), through the built program: we stand in Envoy's place on both sockets. */

let w: World;
const ends: (() => unknown)[] = [];
beforeEach(async () => {
  w = await world();
  ends.push(() => w.done());
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function start(env: Record<string, string>): Promise<(socket: string, path?: string) => RawEnvoy> {
  const { args, env: ports } = portSettings(await drawPorts());
  const run = new ProxyRun({
    args: [...args, "--discoveryAddress", `127.0.0.1:${w.plane.tlsPort}`],
    env: { ...ports, DISABLE_ENVOY: "true", ISTIOD_SAN: "istiod.istio-system.svc", SERVICE_ACCOUNT: "sleep", ...env },
    files: {
      "var/run/secrets/istio/root-cert.pem": w.plane.rootCertificate(),
      "var/run/secrets/tokens/istio-token": "a-token",
    },
  });
  ends.push(() => run.done());
  await eventually("the certificate", () => w.plane.status().issued > 0);
  return (socket, path) => {
    const envoy = rawEnvoy(join(run.folder.path, socket), path);
    ends.push(() => envoy.close());
    return envoy;
  };
}

const bundle = (...roots: readonly string[]) => ({
  typeUrl: typeUrls.proxyConfig,
  name: "bundle",
  value: trustBundleConfig.encode({ caCertificatesPem: roots }),
});
const listener = { typeUrl: typeUrls.listener, name: "l", value: Buffer.from("l") };

/** The roots of each secret that came, oldest first. */
const rootsIn = (envoy: RawEnvoy): readonly string[] =>
  envoy.messages.flatMap((message) =>
    discoveryResponse
      .decode(message)
      .resources.map(({ value }) => secret.decode(value).validationContext.trustedCa as { inlineBytes: Uint8Array })
      .map(({ inlineBytes }) => Buffer.from(inlineBytes).toString()),
  );

test("its roots reach Envoy beside our own, and go when it names them no more", async () => {
  const other = makeAuthority(new Date()).root.certificate.trim();
  w.plane.setResources([listener, bundle(other)]);
  const connect = await start({ PROXY_CONFIG_XDS_AGENT: "true" });
  const secrets = connect("var/run/secrets/workload-spiffe-uds/socket", paths.streamSecrets);
  secrets.send(discoveryRequest.encode({ typeUrl: typeUrls.secret, resourceNames: ["ROOTCA"] }));
  await eventually("our own root", () => rootsIn(secrets).length === 1);
  expect(rootsIn(secrets)[0]).toBe(w.plane.rootCertificate());
  const configuration = connect("etc/istio/proxy/XDS");
  configuration.send(asks(typeUrls.listener));
  await eventually("both", () => rootsIn(secrets).length === 2);
  expect(rootsIn(secrets)[1]).toBe(`${w.plane.rootCertificate().trim()}\n${other}\n`);
  // What can't be read is left out, the rest counts.
  w.plane.setResources([listener, bundle("no certificate")]);
  await eventually("our own alone", () => rootsIn(secrets).length === 3);
  expect(rootsIn(secrets)[2]).toBe(w.plane.rootCertificate());
  // Envoy itself has seen nothing of it.
  expect(configuration.messages.map((one) => discoveryResponse.decode(one).typeUrl)).toEqual(
    configuration.messages.map(() => typeUrls.listener),
  );
});

test("without PROXY_CONFIG_XDS_AGENT nobody asks for it", async () => {
  w.plane.setResources([listener, bundle(makeAuthority(new Date()).root.certificate)]);
  const connect = await start({});
  const secrets = connect("var/run/secrets/workload-spiffe-uds/socket", paths.streamSecrets);
  secrets.send(discoveryRequest.encode({ typeUrl: typeUrls.secret, resourceNames: ["ROOTCA"] }));
  const configuration = connect("etc/istio/proxy/XDS");
  configuration.send(asks(typeUrls.listener));
  await eventually("the listeners", () => configuration.messages.length === 1);
  await eventually("the roots", () => rootsIn(secrets).length > 0);
  expect(rootsIn(secrets)).toEqual([w.plane.rootCertificate()]);
});
