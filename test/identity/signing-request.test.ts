import { execFileSync } from "node:child_process";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { type KeyKind, makePrivateKey } from "../../src/identity/private-key.ts";
import { signingRequest, spiffeId } from "../../src/identity/signing-request.ts";

const uri = spiffeId("cluster.local", "default", "bookinfo-productpage");
const kinds: readonly (readonly [title: string, kind: KeyKind, pkcs8: boolean, label: string, words: string])[] = [
  ["RSA 2048, PKCS#1", { type: "rsa", bits: 2048 }, false, "RSA PRIVATE KEY", "Public-Key: (2048 bit)"],
  ["RSA 3072, PKCS#8", { type: "rsa", bits: 3072 }, true, "PRIVATE KEY", "Public-Key: (3072 bit)"],
  ["P-256, SEC1", { type: "ecdsa", curve: "P256" }, false, "EC PRIVATE KEY", "NIST CURVE: P-256"],
  ["P-384, PKCS#8", { type: "ecdsa", curve: "P384" }, true, "PRIVATE KEY", "NIST CURVE: P-384"],
];

describe("signing requests, judged by openssl", () => {
  test.each(kinds)("%s", async (_title, kind, pkcs8, label, words) => {
    const key = await makePrivateKey(kind, pkcs8);
    expect(key.pem().toString()).toMatch(new RegExp(`^-----BEGIN ${label}-----`));
    const text = execFileSync("openssl", ["req", "-verify", "-noout", "-text"], {
      input: signingRequest(key, uri),
      stdio: ["pipe", "pipe", "pipe"],
    }).toString();
    expect(text).toContain(words);
    expect(text).toContain(`URI:${uri}`);
    expect(text).toMatch(/Subject Alternative Name: critical/);
    expect(text).toMatch(/Subject: ?\n/);
  });

  test("a key shows nothing of itself", async () => {
    const key = await makePrivateKey({ type: "ecdsa", curve: "P256" }, true);
    for (const shown of [JSON.stringify({ key }), inspect({ key }), String(key), inspect(key, { depth: 9 })])
      expect(shown).not.toMatch(/BEGIN|[A-Za-z0-9+/]{30}/);
  });
});
