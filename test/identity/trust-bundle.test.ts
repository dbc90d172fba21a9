import { describe, expect, test } from "vitest";
import { makeAuthority } from "../../src/control-plane/certificate-authority.ts";
import { noLog } from "../../src/foundation/log.ts";
import { TrustBundle } from "../../src/identity/trust-bundle.ts";

const now = new Date(Date.UTC(2030, 0, 1));
const later = (ms: number): Date => new Date(now.getTime() + ms);
const [a, b, c] = ["a", "b", "c"].map((name) => makeAuthority(now, name).root.certificate) as [string, string, string];
const count = (pem: string | undefined): number => pem?.match(/BEGIN/g)?.length ?? 0;

describe("the trust bundle", () => {
  test("is empty before anything is known", () => expect(new TrustBundle([], noLog).pem(now)).toBeUndefined());

  test("each root once, the own one first, whatever the white space", () => {
    const bundle = new TrustBundle([b, a.replaceAll("\n", "\r\n")], noLog);
    bundle.setOwn(a, 1_000, now);
    bundle.setPushed([b, c]);
    const pem = bundle.pem(now) ?? "";
    expect(count(pem)).toBe(3);
    expect(pem.startsWith(a.trim())).toBe(true);
  });

  test("the former root stays for a certificate's lifetime after it was seen last", () => {
    const bundle = new TrustBundle([], noLog);
    bundle.setOwn(a, 1_000, now);
    bundle.setOwn(b, 1_000, later(500));
    expect(count(bundle.pem(later(1_499)))).toBe(2);
    expect(bundle.pem(later(1_501))).toBe(b);
  });

  test("a file's roots count at once, also for what they no longer name", () => {
    const bundle = new TrustBundle([], noLog);
    bundle.setFile(a);
    bundle.setFile(a + b);
    expect(count(bundle.pem(now))).toBe(2);
    bundle.setFile(b);
    expect(bundle.pem(now)).toBe(b);
  });

  test("a pushed bundle tells whether it changed; what can't be read is left out", () => {
    const bundle = new TrustBundle([], noLog);
    expect(bundle.setPushed([a])).toBe(true);
    expect(bundle.setPushed([a.replaceAll("\n", "\r\n")])).toBe(false);
    expect(bundle.setPushed([a, "garbage"])).toBe(false);
    expect(bundle.setPushed([])).toBe(true);
  });
});
