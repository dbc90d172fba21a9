import { describe, expect, test } from "vitest";
import { issue, makeAuthority, readSigningRequest } from "../../src/control-plane/certificate-authority.ts";
import { checkIssued } from "../../src/identity/check-certificate.ts";
import { makePrivateKey } from "../../src/identity/private-key.ts";
import { signingRequest } from "../../src/identity/signing-request.ts";

const now = new Date();
const identity = "spiffe://td/ns/a/sa/b";
const [mine, other] = [makeAuthority(now, " mine"), makeAuthority(now, " other")];
const key = await makePrivateKey({ type: "ecdsa", curve: "P256" }, true);
const { publicKey } = readSigningRequest(signingRequest(key, identity));
const valid = { from: new Date(now.getTime() - 1_000), to: new Date(now.getTime() + 60_000) };
const leaf = issue(mine, publicKey, { uris: [identity] }, valid);
const root = mine.root.certificate;
const check = (...chain: string[]) => checkIssued(chain, { key, identity, now });

describe("what a CA may answer", () => {
  test.each([
    ["leaf, intermediate, root", [leaf, mine.intermediate.certificate, root]],
    ["leaf and intermediate in one text", [leaf + mine.intermediate.certificate, root]],
    ["two roots while the root is being changed", [leaf, mine.intermediate.certificate, other.root.certificate + root]],
    ["the intermediate as the root of trust", [leaf, mine.intermediate.certificate]],
  ])("%s", (_title, chain) => {
    const got = check(...chain);
    expect(got.uris).toEqual([identity]);
    expect(got.chain + got.root).toContain(leaf.trim());
  });

  test("both roots are taken over", () => {
    expect(check(leaf, mine.intermediate.certificate, root + other.root.certificate).root).toBe(
      root + other.root.certificate,
    );
  });

  test.each([
    ["another's root", [leaf, mine.intermediate.certificate, other.root.certificate], "does not lead to its root"],
    ["a missing intermediate", [leaf, root], "does not lead to its root"],
    ["the wrong order", [mine.intermediate.certificate, leaf, root], "for another key than ours"],
    ["a root that is no certificate", [leaf, mine.intermediate.certificate, "x"], "no PEM certificate"],
    ["a leaf as a root", [leaf, leaf], "does not lead to its root"],
  ])("not %s", (_title, chain, why) => expect(() => check(...chain)).toThrow(why));
});
