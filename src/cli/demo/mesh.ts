import { type ControlPlane, startControlPlane } from "../../control-plane/control-plane.ts";
import { Unavailable } from "../../foundation/errors.ts";
import { noLog } from "../../foundation/log.ts";
import { realClock } from "../../system/clock.ts";
import { ensureDirectory, readText, writeWhole } from "../../system/files.ts";
import { inCheckout } from "../../system/own-program.ts";
import { type DemoPorts, discoveryResources } from "./discovery-resources.ts";

const HOUR = 3_600_000;
const TOKEN = "the demo's own token";

/**
 * The embedded control plane, and in `folder` what a pod of its mesh finds mounted: the root certificate and a token.
 * Its resources lie in `folder`/resources as a file that a person may edit while the demo runs.
 */
export async function startMesh(folder: string, ports: DemoPorts): Promise<ControlPlane> {
  for (const path of ["resources", "ca", "var/run/secrets/istio", "var/run/secrets/tokens"]) {
    ensureDirectory(`${folder}/${path}`, 0o700);
  }
  writeWhole(
    `${folder}/resources/demo.json`,
    JSON.stringify({ resources: discoveryResources(ports) }, undefined, 2),
    0o600,
  );
  writeWhole(`${folder}/var/run/secrets/tokens/istio-token`, TOKEN, 0o600);
  const plane = await startControlPlane({
    directory: `${folder}/ca`,
    host: "127.0.0.1",
    tlsPort: 0,
    plainPort: undefined,
    serverNames: ["istiod.istio-system.svc"],
    resources: `${folder}/resources`,
    descriptors: envoyDescriptors,
    tokenFile: `${folder}/var/run/secrets/tokens/istio-token`,
    maxLifetime: HOUR,
    clock: realClock,
    log: noLog,
  });
  writeWhole(`${folder}/var/run/secrets/istio/root-cert.pem`, plane.rootCertificate(), 0o600);
  return plane;
}

function envoyDescriptors(): string {
  const path = inCheckout("dist/envoy-descriptors.json");
  const text = readText(path);
  if (text === undefined) throw new Unavailable(`cannot find "${path}"; run "npm run setup" first`);
  return text;
}
