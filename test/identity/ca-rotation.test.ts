import { createPrivateKey, createPublicKey } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { issue, makeAuthority, readSigningRequest } from "../../src/control-plane/certificate-authority.ts";
import { noLog } from "../../src/foundation/log.ts";
import type { CaAnswer } from "../../src/identity/ca-client.ts";
import { createRotation } from "../../src/identity/ca-rotation.ts";
import type { Certificate } from "../../src/identity/certificate.ts";
import { noIdentityMetrics } from "../../src/identity/identity-metrics.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { eventually } from "../helpers/eventually.ts";

const HOUR = 3_600_000;
const identity = "spiffe://cluster.local/ns/a/sa/b";

/** A clock whose calendar can be moved without its timers, as a suspended machine's. */
class Calendar extends FakeClock {
  shift = 0;
  override wall(): Date {
    return new Date(super.wall().getTime() + this.shift);
  }
}

let stop: () => Promise<void> = async () => undefined;
let clock: Calendar;
afterEach(async () => {
  await stop();
  expect(clock.pending()).toBe(0);
});

function rotation(lifetime: number, answer?: (csr: string) => CaAnswer | undefined) {
  clock = new Calendar();
  const authority = makeAuthority(clock.wall());
  let asked = 0;
  const got: Certificate[] = [];
  const one = createRotation({
    settings: { lifetime, graceRatio: 0.5, graceJitter: 0.01, key: { type: "ecdsa", curve: "P256" }, pkcs8: true },
    identity,
    ask: async (csr) => {
      asked += 1;
      const { publicKey } = readSigningRequest(csr);
      const now = clock.wall().getTime();
      const leaf = issue(
        authority,
        publicKey,
        { uris: [identity] },
        { from: new Date(now), to: new Date(now + lifetime) },
      );
      return (
        answer?.(csr) ?? { ok: true, chain: [leaf, authority.intermediate.certificate, authority.root.certificate] }
      );
    },
    clock,
    random: () => 0.5,
    log: noLog,
    metrics: noIdentityMetrics,
    onCertificate: (certificate) => got.push(certificate),
  });
  stop = () => one.stop();
  one.start();
  return { one, got, asked: () => asked };
}

/** Lets the loop come to its next wait, then moves on. */
async function advance(one: { state(): { readonly is: string } }, by: number): Promise<void> {
  await eventually("the loop waits", () => one.state().is !== "asking" && clock.pending() > 0);
  clock.advance(by);
  await new Promise((resolve) => setImmediate(resolve));
}

describe("the rotation", () => {
  test("asks at once, and again at half of the lifetime", async () => {
    const { one, got } = rotation(24 * HOUR);
    await eventually("the first", () => got.length === 1);
    await advance(one, 1_000);
    for (let minute = 0; minute < 12 * 60 - 2; minute++) await advance(one, 60_000);
    expect(got).toHaveLength(1);
    for (let minute = 0; minute < 4; minute++) await advance(one, 60_000);
    await eventually("the second", () => got.length === 2);
  });

  test("a machine that was suspended for a day asks within a minute of waking", async () => {
    const { one, got } = rotation(24 * HOUR);
    await eventually("the first", () => got.length === 1);
    await advance(one, 1_000);
    clock.shift = 24 * HOUR;
    await advance(one, 60_000);
    await eventually("the second", () => got.length === 2);
  });

  test("a lifetime of three hundred days, beyond a timer's range, does not fire early", async () => {
    const { one, got } = rotation(7_200 * HOUR);
    await eventually("the first", () => got.length === 1);
    await advance(one, 1_000);
    clock.shift = 3_500 * HOUR;
    for (let n = 0; n < 5; n++) await advance(one, 60_000);
    expect(got).toHaveLength(1);
    clock.shift = 3_700 * HOUR;
    await advance(one, 60_000);
    await eventually("the second", () => got.length === 2);
  });

  test("failures back off, are told, and leave what is in use", async () => {
    let down = false;
    const { one, got, asked } = rotation(24 * HOUR, () =>
      down ? { ok: false, code: 14, reason: "the CA is away" } : undefined,
    );
    await eventually("the first", () => got.length === 1);
    down = true;
    await advance(one, 1_000);
    clock.shift = 13 * HOUR;
    await advance(one, 60_000);
    await eventually("a failure", () => one.state().is === "backing-off");
    expect(one.state()).toMatchObject({ attempt: 1, lastFailure: "the CA is away" });
    const before = asked();
    // 100 ms, 200 ms, 400 ms, …: in a minute there are few tries.
    for (let n = 0; n < 60; n++) await advance(one, 1_000);
    expect(asked() - before).toBeLessThan(13);
    expect(got).toHaveLength(1);
    down = false;
    await advance(one, 30_000);
    await advance(one, 30_000);
    await eventually("the second", () => got.length === 2);
  });

  test("a certificate that is due the moment it comes is no reason to ask in a circle", async () => {
    const { one, asked } = rotation(10);
    for (let n = 0; n < 10; n++) await advance(one, 200);
    expect(asked()).toBeLessThan(5);
  });

  test("waking ends a back-off and nothing else", async () => {
    let down = true;
    const { one, got } = rotation(24 * HOUR, () => (down ? { ok: false, code: 16, reason: "no" } : undefined));
    await eventually("a failure", () => one.state().is === "backing-off");
    down = false;
    one.wake();
    await eventually("the certificate", () => got.length === 1);
    await eventually("holding", () => one.state().is === "holding");
    one.wake();
    expect(one.state().is).toBe("holding");
  });

  test("each request has a key of its own", async () => {
    const { one, got } = rotation(24 * HOUR);
    await eventually("the first", () => got.length === 1);
    await advance(one, 1_000);
    clock.shift = 13 * HOUR;
    await advance(one, 60_000);
    await eventually("the second", () => got.length === 2);
    const spki = got.map(({ key }) =>
      createPublicKey(createPrivateKey(key.pem())).export({ format: "pem", type: "spki" }),
    );
    expect(new Set(spki).size).toBe(2);
  });
});
