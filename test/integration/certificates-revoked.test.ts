import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { WorkloadIdentity } from "../../src/identity/workload-identity.ts";
import { mtls, type Whole, whole } from "../control-plane/whole.ts";
import { eventually } from "../helpers/eventually.ts";

/* The CA's revocation list, through the built program: a real Envoy refuses who stands in it, and takes the others. */

const path = "var/run/secrets/istio/crl/ca-crl.pem";
let w: Whole;
beforeEach(async () => {
  w = await whole();
});
afterEach(() => w.done());

/** One list of each CA of the chain, as Envoy wants them; the intermediate's names these serial numbers. */
function revocations(...serials: readonly string[]): string {
  const folder = w.world.path("crl");
  mkdirSync(folder, { recursive: true });
  const listOf = (ca: "root" | "ca", revoked: readonly string[]): string => {
    const [index, conf] = [`${folder}/${ca}.txt`, `${folder}/${ca}.conf`];
    const lines = revoked.map((serial) => `R\t400101000000Z\t200101000000Z\t${serial}\tunknown\t/CN=revoked\n`);
    writeFileSync(index, lines.join(""));
    writeFileSync(conf, `[ca]\ndefault_ca=x\n[x]\ndatabase=${index}\ndefault_md=sha256\n`);
    const pem = (what: string): string => w.world.path(`ca/${ca}-${what}.pem`);
    const words = ["ca", "-gencrl", "-config", conf, "-cert", pem("cert"), "-keyfile", pem("key"), "-crldays", "1"];
    return execFileSync("openssl", words, { stdio: ["ignore", "pipe", "ignore"] }).toString();
  };
  return listOf("ca", serials) + listOf("root", []);
}

/** What a new connection of this client comes to: the status, or the error in words. */
const tried = (client: WorkloadIdentity): Promise<string> =>
  mtls(w.ports.listener, client).then(
    ({ status }) => String(status),
    (error: unknown) => String(error),
  );

const serialOf = (client: WorkloadIdentity): string => new X509Certificate(client.current()?.chain ?? "").serialNumber;

test("a revoked client is refused, another one is not; a list that names it no more lets it in again", async () => {
  const run = w.start({}, [], { files: { [path]: revocations() } });
  await eventually("ready", async () => (await w.ready()).status === 200);
  const [good, bad] = [await w.client(), await w.client()];
  expect([await tried(good), await tried(bad)]).toEqual(["200", "200"]);
  run.write(path, revocations(serialOf(bad)));
  await eventually("the revoked one is refused, for that reason", async () =>
    /certificate revoked/.test(await tried(bad)),
  );
  for (let n = 0; n < 5; n++) {
    expect(await tried(good)).toBe("200");
    expect(await tried(bad)).toMatch(/certificate revoked/);
  }
  run.write(path, revocations());
  await eventually("it is let in again", async () => (await tried(bad)) === "200");
  expect((await w.ready()).status).toBe(200);
});

test("a list that is none is refused by Envoy and said; the one before stays in force", async () => {
  const run = w.start({}, [], { files: { [path]: revocations() } });
  await eventually("ready", async () => (await w.ready()).status === 200);
  const [good, bad] = [await w.client(), await w.client()];
  run.write(path, revocations(serialOf(bad)));
  await eventually("the revoked one is refused", async () => /certificate revoked/.test(await tried(bad)));
  run.write(path, "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n");
  await run.said(/refused.*ROOTCA|ROOTCA.*refused/);
  expect(await tried(good)).toBe("200");
  expect(await tried(bad)).toMatch(/certificate revoked/);
});

test("a list that leaves out a CA of the chain lets nobody in, as Envoy documents; the whole list does again", async () => {
  const run = w.start({}, [], { files: { [path]: revocations() } });
  await eventually("ready", async () => (await w.ready()).status === 200);
  const good = await w.client();
  expect(await tried(good)).toBe("200");
  const [ofTheIntermediate = ""] = revocations().split(/(?<=-----END X509 CRL-----\n)/);
  run.write(path, ofTheIntermediate);
  await eventually("refused", async () => /unknown ca/.test(await tried(good)));
  run.write(path, revocations());
  await eventually("taken again", async () => (await tried(good)) === "200");
});
