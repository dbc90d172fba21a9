import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { issue, issuePair, makeAuthority, readSigningRequest } from "../../src/control-plane/certificate-authority.ts";
import { makePrivateKey } from "../../src/identity/private-key.ts";
import { signingRequest } from "../../src/identity/signing-request.ts";
import { temporaryFolder } from "../helpers/paths.ts";

const now = new Date();
const valid = { from: new Date(now.getTime() - 60_000), to: new Date(now.getTime() + 3_600_000) };
const uri = "spiffe://cluster.local/ns/a/sa/b";

describe("the embedded CA", () => {
  const authority = makeAuthority(now);

  test.each([
    ["rsa", { type: "rsa", bits: 2048 }],
    ["P-256", { type: "ecdsa", curve: "P256" }],
    ["P-384", { type: "ecdsa", curve: "P384" }],
  ] as const)("signs a %s request; openssl verifies the chain", async (_title, kind) => {
    const key = await makePrivateKey(kind, true);
    const request = readSigningRequest(signingRequest(key, uri));
    expect(request.uris).toEqual([uri]);
    const leaf = issue(authority, request.publicKey, { uris: request.uris }, valid);
    const folder = temporaryFolder("ca");
    try {
      writeFileSync(join(folder.path, "leaf"), leaf);
      writeFileSync(join(folder.path, "intermediate"), authority.intermediate.certificate);
      writeFileSync(join(folder.path, "root"), authority.root.certificate);
      const said = execFileSync(
        "openssl",
        ["verify", "-x509_strict", "-CAfile", "root", "-untrusted", "intermediate", "leaf"],
        { cwd: folder.path },
      );
      expect(said.toString()).toBe("leaf: OK\n");
    } finally {
      folder.done();
    }
    const read = new X509Certificate(leaf);
    expect(read.subjectAltName).toBe(`URI:${uri}`);
    expect(read.checkPrivateKey(key.object)).toBe(true);
  });

  test("server names and addresses", () => {
    const pair = issuePair(authority, { dns: ["istiod.istio-system.svc"], ips: ["127.0.0.1"] }, valid);
    const read = new X509Certificate(pair.certificate);
    expect(read.checkHost("istiod.istio-system.svc")).toBe("istiod.istio-system.svc");
    expect(read.checkIP("127.0.0.1")).toBe("127.0.0.1");
  });

  test.each([
    ["nothing", ""],
    ["no DER", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"],
  ])("refuses %s", (_title, text) => expect(() => readSigningRequest(text)).toThrow("cannot sign: "));

  test("refuses a request whose signature is wrong", async () => {
    const key = await makePrivateKey({ type: "ecdsa", curve: "P256" }, true);
    const good = signingRequest(key, uri);
    const bytes = Buffer.from(good.split("\n").slice(1, -2).join(""), "base64");
    const at = bytes.indexOf(Buffer.from("spiffe"));
    bytes[at] = 0x53;
    const bad = `-----BEGIN CERTIFICATE REQUEST-----\n${bytes.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
    expect(() => readSigningRequest(bad)).toThrow("cannot sign: its signature is wrong");
  });
});
